//! Sources of the AccessKey: environment variables, or a directory of files with the same names (a
//! mounted Secret), read again at every use; or a sign-in, whose temporary key another task renews
//! ([`Session`]).
//!
//! The store compares the content of the files, not their times. So it also sees a rotation within
//! one tick of the file system's clock and a swapped symlink; reading three small files takes some
//! tens of microseconds. A projected volume swaps its `..data` link. The store resolves this link
//! once per read, so key id and secret come from the same revision.
//!
//! Limits: if plain files are rewritten one after the other, the store can read a mixed pair. The
//! cloud refuses it (`SignatureDoesNotMatch`), and the next read returns the right pair.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::clock::BootTime;
use crate::secret::Secret;

pub mod renewal;
mod session;

pub use session::{Session, SessionKey};

/// Name of the variable or file with the AccessKey id.
pub const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
/// Name of the variable or file with the AccessKey secret.
pub const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// Name of the variable or file with the STS token; optional.
pub const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// Largest credential file that the operator reads, in bytes (an STS token has about a thousand).
const MAX_FILE: u64 = 16 * 1024;

/// One account's key. Without `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// AccessKey id. It names the key and is not a secret, but the operator keeps it out of logs.
    pub access_key_id: String,
    /// AccessKey secret.
    pub access_key_secret: Secret,
    /// STS token, for temporary keys.
    pub security_token: Option<Secret>,
}

/// Source of an AccessKey.
pub enum CredentialSource {
    /// Values of the three variables, read once at the start.
    Environment(EnvironmentValues),
    /// A directory with files of the three names.
    Directory(PathBuf),
}

/// Values from the environment; `None` where a variable is not set.
#[derive(Default)]
pub struct EnvironmentValues {
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// `ALIBABA_CLOUD_ACCESS_KEY_SECRET`.
    pub access_key_secret: Option<Secret>,
    /// `ALIBABA_CLOUD_SECURITY_TOKEN`.
    pub security_token: Option<Secret>,
}

/// Why there are no (new) credentials. Names the variable or file, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A required variable is not set.
    #[error("{name} is not set; set it, or give a directory of files with --credentials-dir")]
    VariableMissing {
        /// The variable.
        name: &'static str,
    },
    /// The operator cannot read a file.
    #[error("credentials file {} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        kind: std::io::ErrorKind,
    },
    /// A value that cannot be a key.
    #[error("{place} {problem}")]
    Unusable {
        /// The variable's name or the file's path.
        place: String,
        /// Why the value cannot be a key.
        problem: &'static str,
    },
}

impl CredentialSource {
    /// Takes the environment's values through `lookup`, so that this module does not read the
    /// environment.
    pub fn environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self::Environment(EnvironmentValues {
            access_key_id: lookup(ACCESS_KEY_ID),
            access_key_secret: lookup(ACCESS_KEY_SECRET).map(Secret::new),
            security_token: lookup(SECURITY_TOKEN).map(Secret::new),
        })
    }

    /// Reads the credentials.
    ///
    /// # Errors
    /// If a value is missing, unreadable, empty or not printable ASCII.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Environment(values) => from_environment(values),
            Self::Directory(directory) => {
                // A projected volume can swap between the resolution and the reads, which removes
                // the revision being read: the second try sees the new one.
                from_directory(directory).or_else(|_| from_directory(directory))
            }
        }
    }
}

fn from_environment(values: &EnvironmentValues) -> Result<Credentials, CredentialsError> {
    let required = |value: Option<&str>, name: &'static str| match value {
        // Manifests often set a variable to the empty string to unset it.
        None | Some("") => Err(CredentialsError::VariableMissing { name }),
        Some(text) => checked(text, || name.to_owned()).map(str::to_owned),
    };
    let exposed = |secret: &'_ Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    let secret = exposed(&values.access_key_secret).map(Zeroizing::new);
    let token = exposed(&values.security_token).map(Zeroizing::new);
    Ok(Credentials {
        access_key_id: required(values.access_key_id.as_deref(), ACCESS_KEY_ID)?,
        access_key_secret: Secret::new(required(
            secret.as_deref().map(String::as_str),
            ACCESS_KEY_SECRET,
        )?),
        security_token: match token.as_deref().map(String::as_str) {
            None | Some("") => None,
            Some(token) => Some(Secret::new(required(Some(token), SECURITY_TOKEN)?)),
        },
    })
}

fn from_directory(directory: &Path) -> Result<Credentials, CredentialsError> {
    let revision = directory.join("..data");
    let root = std::fs::canonicalize(&revision).unwrap_or_else(|_| directory.to_owned());
    let read = |name: &str| read_value(&root.join(name), &directory.join(name), MAX_FILE);
    let token = match read(SECURITY_TOKEN) {
        Ok(token) => Some(token),
        Err(CredentialsError::Unreadable {
            kind: std::io::ErrorKind::NotFound,
            ..
        }) => None,
        Err(error) => return Err(error),
    };
    let id = read(ACCESS_KEY_ID)?;
    Ok(Credentials {
        access_key_id: id.expose().to_owned(),
        access_key_secret: read(ACCESS_KEY_SECRET)?,
        security_token: token,
    })
}

/// Reads one file of at most `most` bytes. Errors name `shown`, the path that the administrator
/// knows.
pub(super) fn read_value(path: &Path, shown: &Path, most: u64) -> Result<Secret, CredentialsError> {
    let unreadable = |error: std::io::Error| CredentialsError::Unreadable {
        path: shown.to_owned(),
        kind: error.kind(),
    };
    let unusable = |problem| CredentialsError::Unusable {
        place: format!("credentials file {}", shown.display()),
        problem,
    };
    // Opening a pipe could block without end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unusable("is not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > most {
        return Err(unusable("is too large for a credential"));
    }
    let value = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(&text);
    checked(value, || format!("credentials file {}", shown.display()))
        .map(|value| Secret::new(value.to_owned()))
}

/// Keys and tokens go into headers and URLs: anything but printable ASCII is a mistake.
fn checked(value: &str, place: impl Fn() -> String) -> Result<&str, CredentialsError> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(value);
    } else {
        "holds a space, a line break or a character that is not ASCII"
    };
    Err(CredentialsError::Unusable {
        place: place(),
        problem,
    })
}

/// Source of the key that signs.
pub enum KeySource {
    /// A permanent key, read at every use.
    Read(CredentialSource),
    /// The temporary key of a sign-in.
    Session(Arc<Session>),
}

impl From<CredentialSource> for KeySource {
    fn from(source: CredentialSource) -> Self {
        Self::Read(source)
    }
}

/// The key in use, if there is one.
pub(super) struct KeyInUse {
    pub credentials: Arc<Credentials>,
    /// From this time on the client sends nothing signed with the key; `None` for a permanent key.
    pub until: Option<BootTime>,
}

/// The keys of one account.
pub(super) enum Keys {
    Read(CredentialStore),
    Session(Arc<Session>),
}

impl Keys {
    /// # Errors
    /// If a key source is read and the first read fails.
    pub fn new(source: KeySource) -> Result<Self, CredentialsError> {
        Ok(match source {
            KeySource::Read(source) => Self::Read(CredentialStore::new(source)?),
            KeySource::Session(session) => Self::Session(session),
        })
    }

    /// The key in use; reads it again if its source is read.
    pub fn in_use(&self) -> Option<KeyInUse> {
        match self {
            Self::Read(store) => {
                let current = store.current();
                if let Some(error) = current.reload_error {
                    tracing::warn!(%error, "CAMS credentials not reloaded; the previous ones stay in use");
                }
                Some(KeyInUse {
                    credentials: current.credentials,
                    until: None,
                })
            }
            Self::Session(session) => session.key().map(|key| KeyInUse {
                credentials: Arc::clone(&key.credentials),
                until: Some(key.life.use_until()),
            }),
        }
    }

    /// When the use of a temporary key ends, in the past if there is none; `None` for a permanent
    /// key. Reads nothing.
    pub fn good_until(&self) -> Option<BootTime> {
        match self {
            Self::Read(_) => None,
            Self::Session(session) => {
                let until = session.key().map(|key| key.life.use_until());
                Some(until.unwrap_or_default())
            }
        }
    }

    /// Number of changes of the key since the start that reads have seen. Reads nothing.
    pub fn changes(&self) -> u64 {
        match self {
            Self::Read(store) => store.changes(),
            Self::Session(session) => session.changes(),
        }
    }
}

/// The credentials in use: those of the last successful read.
pub struct CredentialStore {
    source: CredentialSource,
    state: Mutex<State>,
}

struct State {
    credentials: Arc<Credentials>,
    /// Number of changes since the start.
    changes: u64,
    /// The last read's error, so that a lasting error is reported once.
    error: Option<CredentialsError>,
}

/// Result of one read of the credentials.
pub struct Current {
    /// The credentials to use.
    pub credentials: Arc<Credentials>,
    /// Set if this read failed and the error differs from that of the read before. The previous
    /// credentials stay in use, and the caller should report the error.
    pub reload_error: Option<CredentialsError>,
}

impl CredentialStore {
    /// Reads for the first time.
    ///
    /// # Errors
    /// If the first read gives no usable credentials.
    pub fn new(source: CredentialSource) -> Result<Self, CredentialsError> {
        let credentials = Arc::new(source.load()?);
        Ok(Self {
            source,
            state: Mutex::new(State {
                credentials,
                changes: 0,
                error: None,
            }),
        })
    }

    /// Reads again and returns the credentials in use.
    pub fn current(&self) -> Current {
        let loaded = self.source.load();
        let mut state = self.lock();
        let reload_error = match loaded {
            Ok(new) => {
                if new != *state.credentials {
                    state.credentials = Arc::new(new);
                    state.changes += 1;
                }
                state.error = None;
                None
            }
            Err(error) if state.error.as_ref() == Some(&error) => None,
            Err(error) => {
                state.error = Some(error.clone());
                Some(error)
            }
        };
        Current {
            credentials: Arc::clone(&state.credentials),
            reload_error,
        }
    }

    /// Number of changes since the start that reads have seen. Reads nothing.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced whole, so a panic elsewhere cannot have left half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
