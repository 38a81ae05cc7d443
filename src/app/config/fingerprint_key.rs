//! Reads the key of the code fingerprints in ledgers and status.
//!
//! Anyone who has the key finds the six digits of a fingerprint in half a second, so this module
//! treats the key like a code: it zeroises what it read, passes the bytes only to the caller's
//! newtype, and shows them in no message.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::ConfigError;

/// Length of a key in bytes.
const KEY_LENGTH: usize = 32;
/// Larger than any key file; the operator does not read a larger file to its end.
const MOST_READ: usize = 128;

/// Reads a key file and passes the bytes to `key`, the constructor of the newtype. The file holds
/// exactly 32 raw bytes, or 64 hexadecimal digits with at most one newline after them.
///
/// # Errors
/// When the file does not exist, cannot be read or does not hold a key.
pub fn load_fingerprint_key<K>(
    path: &Path,
    key: impl FnOnce([u8; KEY_LENGTH]) -> K,
) -> Result<K, ConfigError> {
    let mut content = Zeroizing::new(Vec::with_capacity(MOST_READ));
    let read =
        File::open(path).and_then(|file| file.take(MOST_READ as u64).read_to_end(&mut content));
    match read {
        Ok(length) => match parse(&content) {
            Some(bytes) => Ok(key(bytes)),
            None => Err(ConfigError::KeyMalformed {
                path: path.to_owned(),
                length: (length < MOST_READ).then_some(length),
            }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ConfigError::KeyMissing {
            path: path.to_owned(),
        }),
        Err(source) => Err(ConfigError::KeyUnreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse(content: &[u8]) -> Option<[u8; KEY_LENGTH]> {
    if let Ok(raw) = content.try_into() {
        return Some(raw);
    }
    let digits = content
        .strip_suffix(b"\r\n")
        .or_else(|| content.strip_suffix(b"\n"))
        .unwrap_or(content);
    if digits.len() != 2 * KEY_LENGTH {
        return None;
    }
    let mut key = [0u8; KEY_LENGTH];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(key)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// True for a text that is a key in hexadecimal: the user did not mean it as a path.
pub(super) fn looks_like_a_key(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        text.len() == 2 * KEY_LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn load_key(path: &Path) -> Result<[u8; 32], ConfigError> {
        load_fingerprint_key(path, |bytes| bytes)
    }

    fn key_file(directory: &Path, content: &[u8]) -> PathBuf {
        let path = directory.join("key");
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_missing_and_a_malformed_key_file_are_errors_that_say_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("key");
        assert_eq!(
            load_key(&missing).unwrap_err().to_string(),
            format!(
                "--fingerprint-key-file: there is no file {}: bring back the key that was used \
                 before, or make the first one with: head -c 32 /dev/urandom > FILE",
                missing.display()
            )
        );

        let hex = "c0ffee".repeat(10);
        for content in [
            String::new(),
            "CANARYCANARYCANARYCANARYCANARYC".to_owned(),
            "CANARYCANARYCANARYCANARYCANARYCAN".to_owned(),
            format!("{hex}abc"),
            format!("{hex}abcde"),
            format!("{hex}abcg"),
            format!("{hex}abcd\n\n"),
            format!(" {hex}abc"),
            "c0ffee".repeat(1000),
        ] {
            let path = key_file(directory.path(), content.as_bytes());
            let Err(error) = load_key(&path) else {
                panic!("{content:?} was accepted");
            };
            let expected = format!(
                "--fingerprint-key-file: {} must hold 32 random bytes or 64 hexadecimal digits, and \
                 holds {} that are neither: create one with: head -c 32 /dev/urandom > FILE",
                path.display(),
                if content.len() < 128 {
                    format!("{} bytes", content.len())
                } else {
                    "far more bytes".to_owned()
                }
            );
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("CANARY"));
        }
    }

    #[test]
    fn an_unreadable_key_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let Err(error) = load_key(directory.path()) else {
            panic!("a directory was accepted");
        };
        let start = format!(
            "--fingerprint-key-file: cannot read {}: ",
            directory.path().display()
        );
        let line = error.to_string();
        assert!(line.starts_with(&start), "{line}");
        assert!(line.ends_with(": make it readable"), "{line}");
    }
}
