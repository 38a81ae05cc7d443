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
        /// The programs and their version.
        title: String,
        /// The folder where they were expected.
        dir: PathBuf,
        /// Why `go` did not run.
        why: String,
        /// Another way, or nothing.
        otherwise: String,
    },

    /// `go build` ran and failed.
    #[error(
        "building {title} failed ({status}) in {}:\n{output}\nRepair what it names (often the \
         network or disk space) and run again{otherwise}", dir.display()
    )]
    Build {
        /// The programs and their version.
        title: String,
        /// The Go module.
        dir: PathBuf,
        /// How `go` ended.
        status: String,
        /// The end of its output.
        output: String,
        /// Another way, or nothing.
        otherwise: String,
    },

    /// Neither `XDG_CACHE_HOME` nor `HOME` is usable.
    #[error("no cache directory: set HOME or XDG_CACHE_HOME (an absolute path){otherwise}")]
    NoCacheDir {
        /// Another way, or nothing.
        otherwise: String,
    },

    /// `KUBEBUILDER_ASSETS` is set, but something is missing in that folder.
    #[error(
        "KUBEBUILDER_ASSETS={} has no executable {missing}; \
         either put kube-apiserver, etcd and kubectl there, or unset KUBEBUILDER_ASSETS \
         to have them built once with Go", dir.display()
    )]
    IncompleteAssets {
        /// The folder.
        dir: PathBuf,
        /// Their names.
        missing: String,
    },

    /// `KUBEBUILDER_ASSETS` is set, but its folder does not hold a supported Kubernetes.
    #[error(
        "KUBEBUILDER_ASSETS={} holds {found}, and the tests need Kubernetes {oldest} or later: put \
         another one there, or unset KUBEBUILDER_ASSETS to have it built once with Go", dir.display()
    )]
    UnfitAssets {
        /// The folder.
        dir: PathBuf,
        /// The version that it holds.
        found: String,
        /// The oldest minor that would do.
        oldest: &'static str,
    },

    /// `PHONEMIG_KUBERNETES` names a minor that has no Go module.
    #[error("PHONEMIG_KUBERNETES={minor}: there are modules for {known} only")]
    NoSuchMinor {
        /// Its value.
        minor: String,
        /// The possible values.
        known: String,
    },

    /// Each variable names another Kubernetes.
    #[error(
        "both KUBEBUILDER_ASSETS={} and PHONEMIG_KUBERNETES={minor} are set: unset the one \
         that should not decide which Kubernetes runs", dir.display()
    )]
    TwoSources {
        /// The folder of the one.
        dir: PathBuf,
        /// The minor of the other.
        minor: String,
    },

    /// The pinned Go module is not as expected.
    #[error("{}: {what}", path.display())]
    GoModule {
        /// Its go.mod.
        path: PathBuf,
        /// The difference.
        what: String,
    },

    /// A file or directory operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
