//! Errors, written for the person who runs the tests: what failed, and what to do about it.

use std::path::{Path, PathBuf};

/// Why the programs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are not there, and there is no way to build them.
    #[error(
        "the tests need {title}: not in {}, and cannot be built because {why}. Install Go \
         (https://go.dev/dl) so that it is built there once{otherwise}", dir.display()
    )]
    NoGo {
        /// The programs and their version.
        title: String,
        /// Where they were looked for.
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
        /// The end of what it said.
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

    /// The pinned Go module is not what is expected of it.
    #[error("{}: {what}", path.display())]
    GoModule {
        /// Its go.mod.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },

    /// A file or directory operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
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
