//! Where the binaries come from: `KUBEBUILDER_ASSETS`, else the user's cache
//! directory, into which they are built once with Go; `PHONEMIG_KUBERNETES=1.31`
//! takes the oldest minor that is claimed to work instead of the current one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use go_build::{Programs, missing_in, required_version};

use crate::Error;

const PROGRAMS: [&str; 3] = ["kube-apiserver", "etcd", "kubectl"];
const PACKAGES: [&str; 3] = ["./kube-apiserver", "./etcd", "./kubectl"];
const SOURCES: [&str; 5] = [
    "go.mod",
    "go.sum",
    "kube-apiserver/main.go",
    "etcd/main.go",
    "kubectl/main.go",
];

/// Which Kubernetes is built, by its minor; without it the first of [`MINORS`].
const MINOR: &str = "PHONEMIG_KUBERNETES";
/// The minors that there is a Go module for, and its folder.
const MINORS: [(&str, &str); 2] = [("1.36", "go"), ("1.31", "go-1.31")];

/// A folder that holds `kube-apiserver`, `etcd` and `kubectl`, all executable.
#[derive(Clone, Debug)]
pub struct Assets {
    dir: PathBuf,
}

impl Assets {
    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn kube_apiserver(&self) -> PathBuf {
        self.dir.join("kube-apiserver")
    }

    pub fn etcd(&self) -> PathBuf {
        self.dir.join("etcd")
    }

    pub fn kubectl(&self) -> PathBuf {
        self.dir.join("kubectl")
    }
}

/// Finds the binaries, or builds them: minutes the first time, nothing after.
/// Blocks; processes that run side by side wait for the one that builds.
///
/// # Errors
/// [`Error::IncompleteAssets`], [`Error::NoSuchMinor`], [`Error::GoBuild`]: each says how to supply
/// the binaries.
pub fn assets() -> Result<Assets, Error> {
    if let Some(dir) = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        let dir = PathBuf::from(dir);
        return match missing_in(&dir, &PROGRAMS) {
            None => Ok(Assets { dir }),
            Some(missing) => Err(Error::IncompleteAssets { dir, missing }),
        };
    }
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(module(env::var_os(MINOR))?);
    let version = required_version(&module, "k8s.io/kubernetes")?;
    let programs = Programs {
        module: &module,
        cache: "control-plane",
        version: &version,
        packages: &PACKAGES,
        programs: &PROGRAMS,
        sources: &SOURCES,
        linker_flags: &linker_flags(&version),
        takes: "about 4 min on two cores",
        otherwise: ", or set KUBEBUILDER_ASSETS to a folder that holds the three binaries",
    };
    let dir = programs.ensure()?;
    Ok(Assets { dir })
}

/// The folder of the Go module for this minor.
fn module(minor: Option<OsString>) -> Result<&'static str, Error> {
    let Some(minor) = minor.filter(|minor| !minor.is_empty()) else {
        return Ok(MINORS[0].1);
    };
    let found = MINORS.iter().find(|(name, _)| minor == *name);
    found
        .map(|(_, folder)| *folder)
        .ok_or_else(|| Error::NoSuchMinor {
            minor: minor.to_string_lossy().into_owned(),
            known: MINORS.map(|(name, _)| name).join(" or "),
        })
}

/// The version variables that a release sets: `kubectl version` and the
/// user-agent show them, and without them the apiserver calls itself v0.0.0.
fn linker_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let mut flags = String::from("-s -w");
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_minor_has_a_module_of_that_minor() {
        for (minor, folder) in MINORS {
            assert_eq!(module(Some(minor.into())).unwrap(), folder);
            let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let version = required_version(&module, "k8s.io/kubernetes").unwrap();
            assert!(version.starts_with(&format!("v{minor}.")), "{version}");
        }
        assert_eq!(module(None).unwrap(), "go");
        assert_eq!(module(Some("".into())).unwrap(), "go");
        let error = module(Some("1.30".into())).unwrap_err().to_string();
        assert_eq!(
            error,
            "PHONEMIG_KUBERNETES=1.30: there are modules for 1.36 or 1.31 only"
        );
    }

    #[test]
    fn the_version_variables_are_those_of_a_release() {
        assert_eq!(
            linker_flags("v1.36.3"),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
             -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36 \
             -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 \
             -X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMinor=36"
        );
    }
}
