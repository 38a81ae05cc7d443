//! The contents of a process and of etcd that `World::written` does not collect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::without_user_input;

use super::*;

/// Everything in etcd except the Secrets themselves, by key. PhoneMigrations come without their
/// users' own input.
pub async fn etcd_dump(world: &World) -> Vec<(String, Vec<u8>)> {
    let url = format!("{}/v3/kv/range", world.plane.control.etcd_url());
    // From "/" to "0": every key that begins with "/".
    let range = json!({"key": STANDARD.encode("/"), "range_end": STANDARD.encode("0")});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = client.post(url).body(range.to_string()).send().await;
    let reply = reply.unwrap();
    assert!(reply.status().is_success(), "{}", reply.status());
    let reply: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    let bytes = |kv: &Value, field: &str| {
        let text = kv[field].as_str().unwrap_or_default();
        STANDARD.decode(text).unwrap()
    };
    let mut dump = Vec::new();
    for kv in reply["kvs"].as_array().unwrap() {
        let key = String::from_utf8(bytes(kv, "key")).unwrap();
        if key.starts_with("/registry/secrets/") {
            continue;
        }
        let mut value = bytes(kv, "value");
        if key.starts_with("/registry/phonemigration.dev/") {
            let object: Value = serde_json::from_slice(&value).unwrap();
            value = without_user_input(object).to_string().into_bytes();
        }
        dump.push((format!("etcd, {key}"), value));
    }
    dump
}

/// Command line and environment as other users on the machine see them, metrics in both forms, and
/// the probes' answers.
pub async fn of_process(operator: &mut Operator) -> Vec<(String, Vec<u8>)> {
    let pid = operator.pid().unwrap();
    let mut all = Vec::new();
    for file in ["cmdline", "environ", "comm", "status"] {
        let path = format!("/proc/{pid}/{file}");
        match std::fs::read(&path) {
            Ok(text) => {
                assert!(!text.is_empty(), "{path}");
                all.push((path, text));
            }
            // A hardened process shows it to root only.
            Err(error) if file == "environ" => {
                assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{path}");
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }
    for path in ["/metrics", "/livez", "/readyz", "/nowhere"] {
        let reply = operator.http(path).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 "), "{path}: {reply}");
        all.push((path.to_owned(), reply.into_bytes()));
    }
    all
}
