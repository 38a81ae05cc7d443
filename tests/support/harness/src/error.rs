//! One error type: the operation, and the cause.

use std::fmt::Display;

/// The operation, and why it failed.
#[derive(Debug)]
pub struct Error(String);

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// "what: why".
    pub fn new(what: impl Display, why: impl Display) -> Self {
        Self(format!("{what}: {why}"))
    }

    /// For `map_err`.
    pub fn at<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |why| Self::new(what, why)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
