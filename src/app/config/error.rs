//! The mistakes in the configuration, each as one line for the user who wrote it.

use std::path::PathBuf;

/// Longest part of a bad value that a message repeats, in characters.
const LONGEST_VALUE: usize = 60;

/// One mistake in the configuration. `Display` is a single line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The words are wrong: an unknown flag or command, or a missing value.
    #[error("{0}; --help lists the flags and commands")]
    Usage(String),
    /// A flag has a bad value.
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
    /// A variable of Alibaba Cloud's SDKs has a bad value.
    #[error("{name}: {value} is not valid: {advice}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// The value, quoted, escaped and cut.
        value: String,
        /// What to write instead.
        advice: &'static str,
    },
    /// Neither flags nor variables say how to sign in to Alibaba Cloud.
    #[error(
        "there are no credentials of Alibaba Cloud: set ALIBABA_CLOUD_ACCESS_KEY_ID and \
         ALIBABA_CLOUD_ACCESS_KEY_SECRET, or name a folder of files of these names with \
         --credentials-dir, or have the pod's ServiceAccount sign in, as docs/credentials.md says"
    )]
    NoCredentials,
    /// One of the variables for a ServiceAccount's token is missing.
    #[error(
        "{name} is not set, and the ServiceAccount cannot sign in without it: ACK's webhook sets it, \
         or the chart with credentials.rrsa (docs/credentials.md)"
    )]
    OidcVariable {
        /// The variable.
        name: &'static str,
    },
    /// The user gave a key in place of its path; the message does not repeat it.
    #[error(
        "{flag} (or {}): this looks like the key itself: put it into a file and write the file's path",
        variable_of(flag)
    )]
    KeyInsteadOfPath {
        /// The flag, with its dashes.
        flag: &'static str,
    },
    /// Leader election is on, and neither a flag nor the pod names the Lease's namespace.
    #[error(
        "--lease-namespace (or PHONEMIG_LEASE_NAMESPACE) is needed for leader election outside a \
         pod: name the namespace of the Lease, or write --leader-elect=false"
    )]
    NoLeaseNamespace,
    /// Neither a flag nor the pod names the namespace of the CodeLedgers.
    #[error(
        "--ledger-namespace (or PHONEMIG_LEDGER_NAMESPACE) is needed outside a pod: name the \
         namespace of the CodeLedgers, the same for all operators of one account"
    )]
    NoLedgerNamespace,
    /// The user named no fingerprint key.
    #[error(
        "--fingerprint-key-file (or PHONEMIG_FINGERPRINT_KEY_FILE) is needed, since spent codes are \
         recognised by this key: make it once with: head -c 32 /dev/urandom > FILE, and keep it"
    )]
    NoFingerprintKey,
    /// The fingerprint key file does not exist.
    #[error("--fingerprint-key-file: there is no file {}: bring back the key that was used before, or make the first one with: head -c 32 /dev/urandom > FILE", path.display())]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The fingerprint key file exists but cannot be read.
    #[error("--fingerprint-key-file: cannot read {}: {source}: make it readable", path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The fingerprint key file does not hold a key; the message does not show its content.
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

    pub(super) fn variable(name: &'static str, value: &str, advice: &'static str) -> Self {
        ConfigError::Variable {
            name,
            value: quoted(value),
            advice,
        }
    }

    /// The first line of clap's message; usage and tips follow it.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        // clap repeats the user's words: control characters in them must not command a terminal.
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
