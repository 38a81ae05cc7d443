//! Reads the key of the code fingerprints that stand in status.
//!
//! With the key, a fingerprint's six digits are found in half a second, so it is treated
//! like a code: what was read is zeroised, the bytes leave only into the caller's newtype,
//! and no message shows them.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::ConfigError;

/// Length of a key in bytes.
const KEY_LENGTH: usize = 32;
/// More than any key file holds; a larger file is malformed and not read to its end.
const MOST_READ: usize = 128;

/// Reads a key file, exactly 32 raw bytes, or 64 hexadecimal digits with at most one
/// newline after them, and hands the bytes to `key`, the constructor of the newtype.
///
/// `None` when there is no such file: the shipped manifests mount the key from an optional
/// Secret, so the operator starts without it. The caller then takes a random key, warns and
/// sets the metric. A Secret that is created later is used from the next start on.
///
/// # Errors
/// When the file exists and cannot be read, or holds something else.
pub fn load_fingerprint_key<K>(
    path: &Path,
    key: impl FnOnce([u8; KEY_LENGTH]) -> K,
) -> Result<Option<K>, ConfigError> {
    let mut content = Zeroizing::new(Vec::with_capacity(MOST_READ));
    let read =
        File::open(path).and_then(|file| file.take(MOST_READ as u64).read_to_end(&mut content));
    match read {
        Ok(length) => match parse(&content) {
            Some(bytes) => Ok(Some(key(bytes))),
            None => Err(ConfigError::KeyMalformed {
                path: path.to_owned(),
                length: (length < MOST_READ).then_some(length),
            }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
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

/// True for a text that is a key in hexadecimal and so no path that anybody meant.
pub(super) fn looks_like_a_key(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        text.len() == 2 * KEY_LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit())
    })
}
