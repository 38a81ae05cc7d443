//! The forbidden contents of the shipped manifests.

use serde::Deserialize;

use super::*;

/// Every document of the shipped manifests, samples included.
fn documents() -> Vec<Value> {
    let deploy = harness::repository().join("deploy");
    let mut found = Vec::new();
    for folder in [deploy.join("samples"), deploy] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let documents = serde_yaml_ng::Deserializer::from_str(&text);
                found.extend(documents.map(|d| Value::deserialize(d).unwrap()));
            }
        }
    }
    assert!(found.len() >= 10, "{} documents", found.len());
    found
}

/// Every value under a key of that name, at any depth.
fn values<'a>(value: &'a Value, key: &str, into: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == key {
                    into.push(field);
                }
                values(field, key, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, key, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn all<'a>(documents: &'a [Value], key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    documents
        .iter()
        .for_each(|document| values(document, key, &mut found));
    found
}

#[test]
fn t21_no_long_lived_token_and_no_way_around_the_network() {
    let documents = documents();
    for document in &documents {
        let token = "kubernetes.io/service-account-token";
        assert!(
            document["kind"] != "Secret" || document["type"] != token,
            "{document}"
        );
        // No traffic from outside reaches in.
        let kind = document["kind"].as_str().unwrap_or_default();
        assert!(
            !["Service", "Ingress", "HTTPRoute"].contains(&kind),
            "{document}"
        );
    }
    for key in [
        "hostNetwork",
        "hostPort",
        "hostPath",
        "hostPID",
        "hostIPC",
        "privileged",
    ] {
        assert!(all(&documents, key).is_empty(), "{key}");
    }
    // The walk finds existing keys.
    assert_eq!(all(&documents, "containerPort").len(), 1);
    let switches = [
        "insecure",
        "skip-tls",
        "allow-insecure-endpoint",
        "HTTPS_PROXY",
    ];
    let text = documents.iter().map(Value::to_string).collect::<String>();
    for switch in switches {
        assert!(!text.contains(switch), "{switch}");
    }
}
