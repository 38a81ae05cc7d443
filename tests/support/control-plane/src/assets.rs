//! Where the binaries come from: `KUBEBUILDER_ASSETS`, else the user's cache
//! directory, into which they are built once with Go.
//!
//! The cache folder is named after the Kubernetes version and a hash of
//! everything that decides what is built, so an edit of the Go module is never
//! served by an older build, and two checkouts do not replace each other's.

use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::build;
use crate::once::make_once;

const PROGRAMS: [&str; 3] = ["kube-apiserver", "etcd", "kubectl"];
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
/// [`Error::IncompleteAssets`], [`Error::NoGo`], [`Error::Build`],
/// [`Error::NoCacheDir`], [`Error::Io`]: each says how to supply the binaries.
pub fn assets() -> Result<Assets, Error> {
    if let Some(dir) = set("KUBEBUILDER_ASSETS") {
        return match missing_in(&dir) {
            None => Ok(Assets { dir }),
            Some(missing) => Err(Error::IncompleteAssets { dir, missing }),
        };
    }
    let source = GoModule::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))?;
    let dir = cache_dir()?.join(source.cache_name());
    make_once(
        &dir,
        |dir| missing_in(dir).is_none(),
        |to| build::build(&source.dir, &source.version, to, &dir),
    )?;
    Ok(Assets { dir })
}

fn missing_in(dir: &Path) -> Option<String> {
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|name| !is_executable(&dir.join(name)))
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn cache_dir() -> Result<PathBuf, Error> {
    // The XDG specification: a relative path is to be ignored.
    let base = match set("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        Some(cache) => cache,
        None => set("HOME").ok_or(Error::NoCacheDir)?.join(".cache"),
    };
    Ok(base.join("phone-migration-operator/control-plane"))
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The pinned Go module beside this crate's source.
struct GoModule {
    dir: PathBuf,
    /// As in go.mod, with the `v`.
    version: String,
    hash: String,
}

impl GoModule {
    fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("go.mod");
        let go_mod = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let Some(version) = kubernetes_version(&go_mod) else {
            return Err(Error::GoModule {
                path,
                what: "requires no k8s.io/kubernetes v1.x.y".into(),
            });
        };
        let mut hash = Sha256::new();
        for argument in build::arguments(version) {
            hash.update([argument.as_bytes(), &[0]].concat());
        }
        hash.update(env::consts::OS);
        hash.update(env::consts::ARCH);
        for name in SOURCES {
            let path = dir.join(name);
            let text = fs::read(&path).map_err(Error::io("read", &path))?;
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        let hash = hash.finalize()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            dir: dir.to_owned(),
            version: version.to_owned(),
            hash,
        })
    }

    fn cache_name(&self) -> String {
        format!("{}-{}", self.version, self.hash)
    }
}

/// The version (`v1.2.3`) that a go.mod requires of k8s.io/kubernetes.
fn kubernetes_version(go_mod: &str) -> Option<&str> {
    go_mod.lines().find_map(|line| {
        let mut words = line
            .trim()
            .strip_prefix("require ")
            .unwrap_or(line.trim())
            .split_whitespace();
        (words.next() == Some("k8s.io/kubernetes"))
            .then(|| words.next())?
            .filter(|word| word.starts_with("v1."))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn copy_of_the_module(to: &Path) {
        for name in SOURCES {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(name);
            fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
            fs::copy(from, to.join(name)).unwrap();
        }
    }

    #[test]
    fn the_version_is_the_one_that_go_mod_requires() {
        assert_eq!(
            kubernetes_version("require (\n\tk8s.io/kubectl v0.1.2\n\tk8s.io/kubernetes v1.2.3\n)"),
            Some("v1.2.3")
        );
        assert_eq!(
            kubernetes_version("require k8s.io/kubernetes v1.2.3 // indirect"),
            Some("v1.2.3")
        );
        assert_eq!(
            kubernetes_version("replace k8s.io/kubernetes => ../kubernetes"),
            None
        );
        assert_eq!(kubernetes_version("require k8s.io/kubectl v0.1.2"), None);
    }

    #[test]
    fn a_change_of_any_source_changes_the_cache_folder() {
        let dir = tempfile::tempdir().unwrap();
        copy_of_the_module(dir.path());
        let before = GoModule::read(dir.path()).unwrap().cache_name();
        assert_eq!(before, GoModule::read(dir.path()).unwrap().cache_name());
        for name in SOURCES {
            copy_of_the_module(dir.path());
            let mut text = fs::read_to_string(dir.path().join(name)).unwrap();
            text.push_str("\n// changed\n");
            fs::write(dir.path().join(name), text).unwrap();
            assert_ne!(
                before,
                GoModule::read(dir.path()).unwrap().cache_name(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_folder_without_all_three_executables_is_not_taken() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for name in PROGRAMS {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            missing_in(dir.path()).unwrap(),
            "kube-apiserver, etcd, kubectl"
        );
        for name in ["kube-apiserver", "etcd"] {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(missing_in(dir.path()).unwrap(), "kubectl");
    }
}
