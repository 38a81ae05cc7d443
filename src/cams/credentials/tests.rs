#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn environment(values: &[(&str, &str)]) -> CredentialSource {
    CredentialSource::environment(|name| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn write(directory: &Path, id: &str, secret: &str) {
    fs::write(directory.join(ACCESS_KEY_ID), id).unwrap();
    fs::write(directory.join(ACCESS_KEY_SECRET), secret).unwrap();
}

/// `Credentials` has no `Debug`, on purpose.
fn failure<T>(result: Result<T, CredentialsError>) -> String {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(error) => {
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
            error.to_string()
        }
    }
}

#[test]
fn reads_the_environment() {
    let pairs = [(ACCESS_KEY_ID, "id"), (ACCESS_KEY_SECRET, "secret")];
    let plain = environment(&pairs).load().unwrap();
    assert_eq!(plain.access_key_id, "id");
    assert_eq!(plain.access_key_secret.expose(), "secret");
    assert!(plain.security_token.is_none());

    let with_token = [pairs[0], pairs[1], (SECURITY_TOKEN, "token")];
    let token = environment(&with_token).load().unwrap().security_token;
    assert_eq!(token.unwrap().expose(), "token");

    let empty_token = [pairs[0], pairs[1], (SECURITY_TOKEN, "")];
    assert!(
        environment(&empty_token)
            .load()
            .unwrap()
            .security_token
            .is_none()
    );
}

#[test]
fn names_the_missing_variable_and_no_value() {
    let error = failure(environment(&[(ACCESS_KEY_SECRET, "hunter2")]).load());
    assert!(
        error.contains("ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        "{error}"
    );
    let error = failure(environment(&[(ACCESS_KEY_ID, "hunter2")]).load());
    assert!(error.contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"));
    let error = failure(environment(&[(ACCESS_KEY_ID, ""), (ACCESS_KEY_SECRET, "s")]).load());
    assert!(error.contains("ALIBABA_CLOUD_ACCESS_KEY_ID is not set"));
    let bad = [(ACCESS_KEY_ID, "hunter2 x"), (ACCESS_KEY_SECRET, "s")];
    let error = failure(environment(&bad).load());
    assert!(
        error.contains("ALIBABA_CLOUD_ACCESS_KEY_ID holds a space"),
        "{error}"
    );
}

#[test]
fn names_the_unusable_file_and_no_value() {
    let directory = tempfile::tempdir().unwrap();
    let source = CredentialSource::Directory(directory.path().to_owned());
    let file = directory.path().join(ACCESS_KEY_SECRET);
    fs::write(directory.path().join(ACCESS_KEY_ID), "id").unwrap();

    let error = failure(source.load());
    let missing = format!("{} cannot be read: entity not found", file.display());
    assert!(error.contains(&missing), "{error}");

    let unusable: [(&[u8], &str); 7] = [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n\n", "holds a space"),
        (b"hunter2 x", "holds a space"),
        (b" hunter2", "holds a space"),
        ("hunter2\u{e9}".as_bytes(), "holds a space"),
        (b"hunter2\xff", "cannot be read"),
    ];
    for (value, problem) in unusable {
        fs::write(&file, value).unwrap();
        let error = failure(source.load());
        assert!(error.contains(problem), "{value:?}: {error}");
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
    fs::write(&file, "x".repeat(20_000)).unwrap();
    assert!(failure(source.load()).contains("too large"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(failure(source.load()).contains("is not a regular file"));
}

#[test]
fn a_changed_file_is_seen_at_once() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "id", "old");
    let source = CredentialSource::Directory(directory.path().to_owned());
    let store = CredentialStore::new(source).unwrap();
    // The length is the same and the modification time may be: the content decides.
    write(directory.path(), "id", "new");
    let current = store.current();
    assert_eq!(current.credentials.access_key_secret.expose(), "new");
    assert_eq!(current.reload_error, None);
    assert_eq!(store.changes(), 1);
    store.current();
    assert_eq!(store.changes(), 1, "the same values are no change");
}

/// As the kubelet makes it: two revisions, and a link to the first.
fn projected_volume() -> tempfile::TempDir {
    let volume = tempfile::tempdir().unwrap();
    let root = volume.path();
    for revision in ["..1", "..2"] {
        fs::create_dir(root.join(revision)).unwrap();
        write(&root.join(revision), revision, revision);
    }
    symlink("..1", root.join("..data")).unwrap();
    for name in [ACCESS_KEY_ID, ACCESS_KEY_SECRET] {
        symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    volume
}

#[test]
fn a_projected_volume_is_read_as_one_revision() {
    let volume = projected_volume();
    let root = volume.path();
    let source = CredentialSource::Directory(root.to_owned());
    let store = CredentialStore::new(source).unwrap();
    assert_eq!(store.current().credentials.access_key_id, "..1");

    // As the kubelet does it: a new link, renamed over the old one.
    symlink("..2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    fs::remove_dir_all(root.join("..1")).unwrap();
    let current = store.current().credentials;
    assert_eq!(current.access_key_id, "..2");
    assert_eq!(current.access_key_secret.expose(), "..2");
}

#[test]
fn a_swapping_volume_never_gives_a_mixed_pair() {
    let volume = projected_volume();
    let root = volume.path().to_owned();
    let source = CredentialSource::Directory(root.clone());
    let swapper = std::thread::spawn(move || {
        for round in 0..2_000 {
            let target = if round % 2 == 0 { "..2" } else { "..1" };
            symlink(target, root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        }
    });
    let mut reads = 0;
    while !swapper.is_finished() {
        let read = source.load().unwrap();
        assert_eq!(read.access_key_id, read.access_key_secret.expose());
        reads += 1;
    }
    swapper.join().unwrap();
    assert!(reads > 10, "{reads} reads prove nothing");
}

#[test]
fn a_failed_reload_keeps_the_old_credentials_and_tells_once() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "id", "good");
    let source = CredentialSource::Directory(directory.path().to_owned());
    let store = CredentialStore::new(source).unwrap();

    let file = directory.path().join(ACCESS_KEY_SECRET);
    fs::write(&file, "").unwrap();
    let first = store.current();
    assert_eq!(first.credentials.access_key_secret.expose(), "good");
    let told = first.reload_error.unwrap().to_string();
    assert!(told.contains("is empty"), "{told}");
    assert_eq!(store.current().reload_error, None, "told once");

    fs::remove_file(&file).unwrap();
    assert!(store.current().reload_error.is_some(), "another problem");

    fs::write(&file, "next").unwrap();
    let healed = store.current();
    assert_eq!(healed.credentials.access_key_secret.expose(), "next");
    assert_eq!(healed.reload_error, None);
}
