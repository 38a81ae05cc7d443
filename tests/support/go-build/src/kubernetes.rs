//! The source of kube-apiserver, etcd and kubectl: `KUBEBUILDER_ASSETS`, else the user's cache
//! directory, into which they are built once with Go; `PHONEMIG_KUBERNETES=1.31` takes the oldest
//! supported minor instead of the current one. Both variables at once are an error: one would be
//! ignored.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::once::say;
use crate::{Error, Programs, Step, missing_in, required_version};

const PROGRAMS: [&str; 3] = ["kube-apiserver", "etcd", "kubectl"];
const PACKAGES: [&str; 3] = ["./kube-apiserver", "./etcd", "./kubectl"];
const SOURCES: [&str; 5] = [
    "go.mod",
    "go.sum",
    "kube-apiserver/main.go",
    "etcd/main.go",
    "kubectl/main.go",
];

/// The folder that has them.
const FOLDER: &str = "KUBEBUILDER_ASSETS";
/// The minor of Kubernetes to build; without it the first of [`MINORS`].
const MINOR: &str = "PHONEMIG_KUBERNETES";
/// The minors that have a Go module, with its folder.
const MINORS: [(&str, &str); 2] = [("1.36", "go"), ("1.31", "go-1.31")];

/// The oldest supported minor.
const OLDEST: &str = MINORS[MINORS.len() - 1].0;

/// A folder that holds `kube-apiserver`, `etcd` and `kubectl`, all executable.
#[derive(Clone, Debug)]
pub struct Assets {
    dir: PathBuf,
}

impl Assets {
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

/// Finds the binaries, or builds them: minutes the first time, nothing after. Blocks; parallel
/// processes wait for the one that builds.
/// Each error says how to supply the binaries.
pub fn assets() -> Result<Assets, Error> {
    find(&|programs| programs.ensure())
}

/// The same, and reports the progress to `tell`.
pub fn assets_and_tell(tell: &dyn Fn(Step<'_>)) -> Result<Assets, Error> {
    find(&|programs| programs.ensure_and_tell(tell))
}

type Ensure<'a> = &'a dyn Fn(&Programs<'_>) -> Result<PathBuf, Error>;

fn find(ensure: Ensure<'_>) -> Result<Assets, Error> {
    let folder = match source(env::var_os(FOLDER), env::var_os(MINOR))? {
        Source::Folder(dir) => {
            return match missing_in(&dir, &PROGRAMS) {
                None => given(dir),
                Some(missing) => Err(Error::IncompleteAssets { dir, missing }),
            };
        }
        Source::Module(folder) => folder,
    };
    let module = modules().join(folder);
    let version = required_version(&module, "k8s.io/kubernetes")?;
    let programs = Programs {
        module: &module,
        cache: "control-plane",
        version: &version,
        packages: &PACKAGES,
        programs: &PROGRAMS,
        sources: &SOURCES,
        linker_flags: &linker_flags(&version),
        tags: "",
        takes: "about 4 min on two cores",
        otherwise: ", or set KUBEBUILDER_ASSETS to a folder that holds the three binaries",
    };
    let dir = ensure(&programs)?;
    Ok(Assets { dir })
}

/// The binaries of a folder that the user named, in a version that fits.
fn given(dir: PathBuf) -> Result<Assets, Error> {
    let assets = Assets { dir };
    let output = Command::new(assets.kube_apiserver())
        .arg("--version")
        .output();
    let told = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let told =
        told.unwrap_or_else(|error| format!("a kube-apiserver that cannot be run ({error})"));
    if !fits(&told) {
        return Err(Error::UnfitAssets {
            dir: assets.dir,
            found: told,
            oldest: OLDEST,
        });
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| say(&format!("{told} of {FOLDER}={}", assets.dir.display())));
    Ok(assets)
}

/// Whether `kube-apiserver --version` prints the oldest supported minor, or a later one.
fn fits(told: &str) -> bool {
    let minor = |version: &str| version.strip_prefix("1.")?.split('.').next()?.parse().ok();
    let found: Option<u32> = told.strip_prefix("Kubernetes v").and_then(minor);
    let oldest: Option<u32> = minor(OLDEST);
    found.is_some() && found >= oldest
}

/// The folder that the Go modules are in.
fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-plane")
}

/// The source of the binaries.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// They are in this folder.
    Folder(PathBuf),
    /// They are built from the Go module in this folder.
    Module(&'static str),
}

/// The source that the values of [`FOLDER`] and [`MINOR`] select; an empty value counts as none.
fn source(folder: Option<OsString>, minor: Option<OsString>) -> Result<Source, Error> {
    let folder = folder.filter(|folder| !folder.is_empty());
    let minor = minor.filter(|minor| !minor.is_empty());
    match (folder, minor) {
        (None, None) => Ok(Source::Module(MINORS[0].1)),
        (Some(folder), None) => Ok(Source::Folder(folder.into())),
        (None, Some(minor)) => match MINORS.iter().find(|(name, _)| minor == *name) {
            Some((_, folder)) => Ok(Source::Module(folder)),
            None => Err(Error::NoSuchMinor {
                minor: minor.to_string_lossy().into_owned(),
                known: MINORS.map(|(name, _)| name).join(" or "),
            }),
        },
        (Some(folder), Some(minor)) => Err(Error::TwoSources {
            dir: folder.into(),
            minor: minor.to_string_lossy().into_owned(),
        }),
    }
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
            let source = source(None, Some(minor.into())).unwrap();
            assert_eq!(source, Source::Module(folder));
            let module = modules().join(folder);
            let version = required_version(&module, "k8s.io/kubernetes").unwrap();
            assert!(version.starts_with(&format!("v{minor}.")), "{version}");
        }
        let error = source(None, Some("1.30".into())).unwrap_err().to_string();
        assert_eq!(
            error,
            "PHONEMIG_KUBERNETES=1.30: there are modules for 1.36 or 1.31 only"
        );
    }

    #[test]
    fn one_variable_decides_and_two_are_an_error() {
        let built = Source::Module("go");
        assert_eq!(source(None, None).unwrap(), built);
        assert_eq!(source(Some("".into()), Some("".into())).unwrap(), built);
        let given = Source::Folder("/assets".into());
        assert_eq!(source(Some("/assets".into()), None).unwrap(), given);
        assert_eq!(
            source(Some("/assets".into()), Some("".into())).unwrap(),
            given
        );
        // Otherwise tests would run on the folder's version, and be taken for tests of 1.31.
        let error = source(Some("/assets".into()), Some("1.31".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "both KUBEBUILDER_ASSETS=/assets and PHONEMIG_KUBERNETES=1.31 are set: unset the one \
             that should not decide which Kubernetes runs"
        );
    }

    #[test]
    fn a_folders_kubernetes_must_be_one_that_is_claimed_to_work() {
        for told in [
            "Kubernetes v1.31.0",
            "Kubernetes v1.36.3",
            "Kubernetes v1.40.0-rc.1",
        ] {
            assert!(fits(told), "{told}");
        }
        for told in [
            "Kubernetes v1.30.9",
            "Kubernetes v1.9.1",
            "Kubernetes v0.0.0-master",
            "",
        ] {
            assert!(!fits(told), "{told}");
        }
        let dir = tempfile::tempdir().unwrap();
        let error = given(dir.path().to_owned()).unwrap_err().to_string();
        assert!(error.contains("cannot be run"), "{error}");
        assert!(error.contains("need Kubernetes 1.31 or later"), "{error}");
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
