//! Where the AccessKey comes from: environment variables, or a directory of files with the
//! same names (a mounted Secret), read again whenever it is used.
//!
//! The files are read, not their times: a rotation within one tick of the file system's clock,
//! or a swapped symlink, is seen all the same, and three small files cost some tens of
//! microseconds. A projected volume swaps its `..data` link, so the link is resolved once per
//! read and key id and secret come from the same revision.
//!
//! Limits: plain files that are rewritten one after the other can be read as a mixed pair; the
//! cloud refuses it (`SignatureDoesNotMatch`), and the next read has the right one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Name of the variable or file with the AccessKey id.
pub const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
/// Name of the variable or file with the AccessKey secret.
pub const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// Name of the variable or file with the STS token; optional.
pub const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// Largest credential file that is read, in bytes (an STS token has about a thousand).
const MAX_FILE: u64 = 16 * 1024;

/// One account's key. No `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// AccessKey id; names the key, is no secret by itself, and is kept out of logs.
    pub access_key_id: String,
    /// AccessKey secret.
    pub access_key_secret: Secret,
    /// STS token, for temporary keys.
    pub security_token: Option<Secret>,
}

/// Where credentials are read from.
pub enum CredentialSource {
    /// Values of the three variables, read once by whoever reads the environment.
    Environment(EnvironmentValues),
    /// A directory with files of the three names.
    Directory(PathBuf),
}

/// What the environment holds; absent where a variable is not set.
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
    /// A variable that must be set is not.
    #[error("{name} is not set; set it, or give a directory of files with --credentials-dir")]
    VariableMissing {
        /// The variable.
        name: &'static str,
    },
    /// A file cannot be read.
    #[error("credentials file {} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// A value that cannot be a key.
    #[error("{place} {problem}")]
    Unusable {
        /// The variable's name or the file's path.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl CredentialSource {
    /// Takes the environment's values through a lookup, so that this module reads none.
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
    /// When a value is missing, unreadable, empty or not printable ASCII.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Environment(values) => from_environment(values),
            Self::Directory(directory) => {
                // A projected volume can swap between the resolution and the reads, which
                // removes the revision being read: the second try sees the new one.
                from_directory(directory).or_else(|_| from_directory(directory))
            }
        }
    }
}

fn from_environment(values: &EnvironmentValues) -> Result<Credentials, CredentialsError> {
    let required = |value: Option<&str>, name: &'static str| match value {
        // An empty variable is how manifests spell an unset one.
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
    let read = |name: &str| read_value(&root.join(name), &directory.join(name));
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

/// Reads one file; errors name `shown`, the path that the administrator knows.
fn read_value(path: &Path, shown: &Path) -> Result<Secret, CredentialsError> {
    let unreadable = |error: std::io::Error| CredentialsError::Unreadable {
        path: shown.to_owned(),
        kind: error.kind(),
    };
    let unusable = |problem| CredentialsError::Unusable {
        place: format!("credentials file {}", shown.display()),
        problem,
    };
    // Opening a pipe would block for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unusable("is not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(unusable("is too large for a credential"));
    }
    let value = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(&text);
    checked(value, || format!("credentials file {}", shown.display()))
        .map(|value| Secret::new(value.to_owned()))
}

/// Keys and tokens travel in headers and URLs: anything but printable ASCII is an accident.
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

/// The credentials in use: those of the last read that worked.
pub struct CredentialStore {
    source: CredentialSource,
    state: Mutex<State>,
}

struct State {
    credentials: Arc<Credentials>,
    /// The last read's error, so that a lasting one is told once.
    error: Option<CredentialsError>,
}

/// One look at the credentials.
pub struct Current {
    /// Those to use.
    pub credentials: Arc<Credentials>,
    /// Set when this read failed in a way the one before did not: the previous credentials
    /// stay in use, and somebody should be told.
    pub reload_error: Option<CredentialsError>,
}

impl CredentialStore {
    /// Reads for the first time.
    ///
    /// # Errors
    /// When there is nothing usable to begin with.
    pub fn new(source: CredentialSource) -> Result<Self, CredentialsError> {
        let credentials = Arc::new(source.load()?);
        Ok(Self {
            source,
            state: Mutex::new(State {
                credentials,
                error: None,
            }),
        })
    }

    /// Reads again and returns what is in use now.
    pub fn current(&self) -> Current {
        let loaded = self.source.load();
        let mut state = self.lock();
        let reload_error = match loaded {
            Ok(new) => {
                if new != *state.credentials {
                    state.credentials = Arc::new(new);
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced whole, so a panic elsewhere cannot have left half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
