//! What is wrong with the configuration, as one line for the person who wrote it.

use std::path::PathBuf;

/// Longest part of a bad value that a message repeats, in characters.
const LONGEST_VALUE: usize = 60;

/// One mistake in the configuration. `Display` is a single line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The words themselves: an unknown flag or command, a missing value.
    #[error("{0}; --help lists the flags and commands")]
    Usage(String),
    /// A flag's value.
    #[error("{flag} (or {variable}): {value} is not valid: {advice}")]
    Value {
        /// The flag, with its dashes.
        flag: &'static str,
        /// The environment variable of the same name.
        variable: String,
        /// The value, quoted, escaped and cut.
        value: String,
        /// What to write instead.
        advice: String,
    },
    /// A key stands where its path belongs; the value is not repeated.
    #[error(
        "{flag} (or {}): this looks like the key itself: put it into a file and write the file's path",
        variable_of(flag)
    )]
    KeyInsteadOfPath {
        /// The flag, with its dashes.
        flag: &'static str,
    },
    /// Leader election is on and nothing says where the Lease lives.
    #[error(
        "--lease-namespace (or PHONEMIG_LEASE_NAMESPACE) is needed for leader election outside a \
         pod: name the namespace of the Lease, or write --leader-elect=false"
    )]
    NoLeaseNamespace,
    /// The fingerprint key file exists but cannot be read.
    #[error("--fingerprint-key-file: cannot read {}: {source}: make it readable, or remove the flag to use a key that lives as long as the process", path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The fingerprint key file holds something else than a key; its content is not shown.
    #[error("--fingerprint-key-file: {} must hold 32 random bytes or 64 hexadecimal digits, and holds {} that are neither: create one with: head -c 32 /dev/urandom > FILE", path.display(), byte_count(*.length))]
    KeyMalformed {
        /// The file.
        path: PathBuf,
        /// Its size in bytes; `None` when it is larger than any key.
        length: Option<usize>,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    NoRandomness(String),
}

impl ConfigError {
    pub(super) fn value(flag: &'static str, value: &str, advice: impl Into<String>) -> Self {
        ConfigError::Value {
            flag,
            variable: variable_of(flag),
            value: quoted(value),
            advice: advice.into(),
        }
    }

    /// The first line of clap's message; the rest is usage and tips.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        // It repeats words as they were given: they must not command a terminal.
        let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        ConfigError::Usage(line.chars().map(visible).collect())
    }
}

/// `--lease-namespace` is also `PHONEMIG_LEASE_NAMESPACE`.
fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_");
    format!("PHONEMIG_{}", name.to_ascii_uppercase())
}

/// Quoted and escaped, so that a newline in a variable cannot forge a log line.
fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(LONGEST_VALUE).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

fn byte_count(length: Option<usize>) -> String {
    match length {
        Some(length) => format!("{length} bytes"),
        None => "far more bytes".to_owned(),
    }
}
