//! Errors, written for the person who runs the tests: what failed, and what to
//! do about it.

use std::path::{Path, PathBuf};

/// Everything that can go wrong here. None of the messages holds a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no binaries and they cannot be built, or a folder cannot be made.
    #[error(transparent)]
    GoBuild(#[from] go_build::Error),

    /// A file or directory operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },

    /// Another control plane has this directory.
    #[error("{} is in use by another control plane; choose another directory, or stop that one", .0.display())]
    DirInUse(PathBuf),

    /// Every port that was tried is taken.
    #[error("no free port on 127.0.0.1 between {first} and {last}")]
    NoPort { first: u16, last: u16 },

    /// A process that should run has ended.
    #[error("{part} ended by itself ({status}). The end of {}:\n{tail}", log.display())]
    Ended {
        part: &'static str,
        status: String,
        log: PathBuf,
        tail: String,
    },

    /// A process runs, but did not get ready in time.
    #[error(
        "{part} was not ready after {seconds} s; last answer: {last}. The end of {}:\n{tail}",
        log.display()
    )]
    NotReady {
        part: &'static str,
        seconds: u64,
        last: String,
        log: PathBuf,
        tail: String,
    },

    /// A part was started while it runs, or signalled while it does not.
    #[error("{part} {state}")]
    WrongState {
        part: &'static str,
        state: &'static str,
    },

    /// The API server refused a request of this library, or could not be reached.
    #[error("cannot {what}: {source}")]
    Kube {
        what: String,
        source: Box<kube::Error>,
    },

    /// The TokenRequest API answered without a token.
    #[error("the apiserver gave no token for service account {account}; see its log")]
    NoToken { account: String },

    /// The admin kubeconfig could not be turned into a client.
    #[error("cannot use the admin kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),

    /// Keys or certificates could not be made.
    #[error("cannot make the keys and certificates of the control plane: {0}")]
    Pki(String),

    /// A line of the audit log is not an audit event.
    #[error("{} line {line} is not an audit event: {what}", path.display())]
    Audit {
        path: PathBuf,
        line: usize,
        what: String,
    },

    /// The audit log did not show the expected entries.
    #[error("{} did not show {what} within {seconds} s", path.display())]
    AuditWait {
        path: PathBuf,
        what: String,
        seconds: u64,
    },

    /// kubectl ran and failed.
    #[error("`kubectl {args}` failed ({status}): {stderr}")]
    Kubectl {
        args: String,
        status: String,
        stderr: String,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn kube(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Kube {
            what,
            source: Box::new(source),
        }
    }
}
