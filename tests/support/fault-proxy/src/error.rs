//! Errors of the proxy itself.

use std::time::Duration;

/// Why the proxy, or a wait for one of its rules, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate, a key or the upstream's URL cannot be used.
    #[error("fault proxy: {what}: {why}")]
    Setup { what: &'static str, why: String },
    /// Its thread is gone.
    #[error("fault proxy: it has ended")]
    Gone,
    /// A rule was not met in time.
    #[error("fault proxy: rule \"{rule}\" was not met within {within:?}; met {hits} times before")]
    NotMet {
        rule: String,
        within: Duration,
        hits: usize,
    },
}

impl Error {
    pub(crate) fn setup<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |why| Self::Setup {
            what,
            why: why.to_string(),
        }
    }
}

/// The connection ends here, without a (whole) reply.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
pub(crate) struct Cut;
