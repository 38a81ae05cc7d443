//! Errors, written for the person who runs the tests: what failed, and what to do about it.

use std::path::{Path, PathBuf};

/// Why the programs are not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They do not exist, and cannot be built.
    #[error(
        "{title} are needed: not in {}, and cannot be built because {why}. Install Go \
         (https://go.dev/dl) so that it is built there once{otherwise}", dir.display()
    )]
    NoGo {
        title: String,
        dir: PathBuf,
        why: String,
        otherwise: String,
    },

    /// `go build` ran and failed.
    #[error(
        "building {title} failed ({status}) in {}:\n{output}\nRepair what it names (often the \
         network or disk space) and run again{otherwise}", dir.display()
    )]
    Build {
        title: String,
        dir: PathBuf,
        status: String,
        output: String,
        otherwise: String,
    },

    /// Neither `XDG_CACHE_HOME` nor `HOME` is usable.
    #[error("no cache directory: set HOME or XDG_CACHE_HOME (an absolute path){otherwise}")]
    NoCacheDir { otherwise: String },

    /// `KUBEBUILDER_ASSETS` is set, but something is missing in that folder.
    #[error(
        "KUBEBUILDER_ASSETS={} has no executable {missing}; \
         either put kube-apiserver, etcd and kubectl there, or unset KUBEBUILDER_ASSETS \
         to have them built once with Go", dir.display()
    )]
    IncompleteAssets { dir: PathBuf, missing: String },

    /// `KUBEBUILDER_ASSETS` is set, but its folder does not hold a supported Kubernetes.
    #[error(
        "KUBEBUILDER_ASSETS={} holds {found}, and the tests need Kubernetes {oldest} or later: put \
         another one there, or unset KUBEBUILDER_ASSETS to have it built once with Go", dir.display()
    )]
    UnfitAssets {
        dir: PathBuf,
        found: String,
        oldest: &'static str,
    },

    /// `PHONEMIG_KUBERNETES` names a minor that has no Go module.
    #[error("PHONEMIG_KUBERNETES={minor}: there are modules for {known} only")]
    NoSuchMinor { minor: String, known: String },

    /// Each variable names another Kubernetes.
    #[error(
        "both KUBEBUILDER_ASSETS={} and PHONEMIG_KUBERNETES={minor} are set: unset the one \
         that should not decide which Kubernetes runs", dir.display()
    )]
    TwoSources { dir: PathBuf, minor: String },

    /// The pinned Go module is not as expected.
    #[error("{}: {what}", path.display())]
    GoModule { path: PathBuf, what: String },

    /// A file or directory operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
