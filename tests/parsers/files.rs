//! Files with a key in them: any content is a key, or an error that does not show the content.

use std::path::Path;

use phone_migration_operator::app::config::load_fingerprint_key;
use phone_migration_operator::cams::CredentialSource;
use phone_migration_operator::cams::credentials::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN,
};
use proptest::prelude::*;

use super::{any_bytes, cases};

/// Printable ASCII with at most one line end after it, and not larger than a credential.
fn expected(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    if text.len() > 16 * 1024 {
        return None;
    }
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = if line.len() < text.len() {
        line.strip_suffix('\r').unwrap_or(line)
    } else {
        line
    };
    (!line.is_empty() && line.chars().all(|c| ('!'..='~').contains(&c))).then(|| line.to_owned())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => "[!-~]{1,60}(\r\n|\n|)".prop_map(String::into_bytes),
        1 => "[!-~ ]{0,30}[\r\n]{0,3}".prop_map(String::into_bytes),
        1 => any_bytes(),
        1 => (16_370..16_390usize).prop_map(|length| vec![b'k'; length]),
    ]
}

fn write(directory: &Path, name: &str, content: &[u8]) {
    std::fs::write(directory.join(name), content).unwrap();
}

/// 32 bytes, or 64 digits and at most one line end.
fn key(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() == 32 {
        return Some(content.to_vec());
    }
    let text = std::str::from_utf8(content).ok()?;
    let line = text
        .strip_suffix("\r\n")
        .or(text.strip_suffix('\n'))
        .unwrap_or(text);
    let hex = line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit());
    let pairs = (0..32).map(|n| u8::from_str_radix(line.get(n * 2..n * 2 + 2)?, 16).ok());
    if hex { pairs.collect() } else { None }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_credential_files_are_a_key_or_an_error_without_it(
        id in content(), secret in content(), token in prop::option::of(content()),
    ) {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), ACCESS_KEY_ID, &id);
        write(directory.path(), ACCESS_KEY_SECRET, &secret);
        if let Some(token) = &token {
            write(directory.path(), SECURITY_TOKEN, token);
        }
        let wanted = expected(&id).zip(expected(&secret)).filter(|_| token.as_ref().is_none_or(|t| expected(t).is_some()));
        match CredentialSource::Directory(directory.path().to_owned()).load() {
            Ok(read) => {
                let (id, secret) = wanted.expect("an unusable file was taken");
                prop_assert_eq!(read.access_key_id, id);
                prop_assert_eq!(read.access_key_secret.expose(), secret);
                let token = token.as_deref().and_then(expected);
                prop_assert_eq!(read.security_token.map(|t| t.expose().to_owned()), token);
            }
            Err(error) => {
                prop_assert!(wanted.is_none(), "{error}");
                let (line, debug) = (error.to_string(), format!("{error:?}"));
                prop_assert!(!line.contains('\n'));
                for value in [Some(&id), Some(&secret), token.as_ref()].into_iter().flatten() {
                    let text = String::from_utf8_lossy(value);
                    let telling = text.len() >= 12 && text.bytes().any(|b| b.is_ascii_digit());
                    prop_assert!(!telling || !(line.contains(&*text) || debug.contains(&*text)));
                }
            }
        }
    }

    #[test]
    fn any_environment_is_a_key_or_an_error_without_it(
        id in prop::option::of(any::<String>()), secret in prop::option::of("[!-~ ]{0,30}"),
    ) {
        let source = CredentialSource::environment(|name| match name {
            ACCESS_KEY_ID => id.clone(),
            ACCESS_KEY_SECRET => secret.clone(),
            _ => None,
        });
        let usable = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_graphic()));
        prop_assert_eq!(source.load().is_ok(), usable(&id) && usable(&secret));
    }

    #[test]
    fn any_fingerprint_key_file_is_a_key_or_an_error_without_it(
        content in prop_oneof![
            1 => prop::collection::vec(any::<u8>(), 30..35),
            2 => "[0-9a-fA-F]{63,65}(\r\n|\n|\n\n|)".prop_map(String::into_bytes),
            1 => "[0-9a-g]{64}".prop_map(String::into_bytes),
            1 => any_bytes(),
        ],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, &content).unwrap();
        let read = load_fingerprint_key(&path, |bytes| bytes.to_vec());
        match (read, key(&content)) {
            (Ok(read), wanted) => prop_assert_eq!(Some(read), wanted),
            (Err(error), wanted) => {
                prop_assert_eq!(wanted, None);
                let text = String::from_utf8_lossy(&content);
                prop_assert!(text.len() < 12 || !error.to_string().contains(&*text));
            }
        }
    }
}
