//! Where the binaries come from: `KUBEBUILDER_ASSETS`, else the user's cache
//! directory, into which they are built once with Go.

use std::env;
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
/// [`Error::IncompleteAssets`], [`Error::GoBuild`]: each says how to supply the binaries.
pub fn assets() -> Result<Assets, Error> {
    if let Some(dir) = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        let dir = PathBuf::from(dir);
        return match missing_in(&dir, &PROGRAMS) {
            None => Ok(Assets { dir }),
            Some(missing) => Err(Error::IncompleteAssets { dir, missing }),
        };
    }
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
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
    use super::*;

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
