//! The API server's answer to a status: the generated schema, applied.

use std::sync::LazyLock;

use jiff::Timestamp;
use phone_migration_operator::api::crd::{PhoneMigrationStatus, crd_yaml};
use serde_json::Value;

static STATUS: LazyLock<Value> = LazyLock::new(|| {
    let crd: Value = serde_yaml_ng::from_str(&crd_yaml().unwrap()).unwrap();
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    crd.pointer(schema).unwrap().clone()
});

/// Everything that the schema refuses in this status.
pub fn refusals(status: &PhoneMigrationStatus) -> Vec<String> {
    let mut found = Vec::new();
    check(
        &STATUS,
        &serde_json::to_value(status).unwrap(),
        "status",
        &mut found,
    );
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut no = |what: &str| found.push(format!("{path}: {what}"));
    let bound = |name: &str| schema[name].as_u64().and_then(|n| usize::try_from(n).ok());
    if schema["enum"]
        .as_array()
        .is_some_and(|words| !words.contains(value))
    {
        no("not one of the words");
    }
    match (schema["type"].as_str().unwrap(), value) {
        ("string", Value::String(text)) => {
            let length = text.chars().count();
            if bound("maxLength").is_some_and(|max| length > max) {
                no("too long");
            }
            if bound("minLength").is_some_and(|min| length < min) {
                no("too short");
            }
            if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
                no("no time");
            }
        }
        ("integer", Value::Number(number)) => {
            let number = number.as_f64().unwrap();
            if schema["minimum"].as_f64().is_some_and(|min| number < min)
                || schema["maximum"].as_f64().is_some_and(|max| number > max)
            {
                no("out of bounds");
            }
        }
        ("array", Value::Array(items)) => {
            if bound("maxItems").is_some_and(|max| items.len() > max) {
                no("too many");
            }
            for (n, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{n}]"), found);
            }
        }
        ("object", Value::Object(fields)) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            for name in required.iter().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    found.push(format!("{path}.{name}: missing"));
                }
            }
            for (name, field) in fields {
                match &schema["properties"][name] {
                    Value::Null => found.push(format!("{path}.{name}: unknown field")),
                    schema => check(schema, field, &format!("{path}.{name}"), found),
                }
            }
        }
        _ => no("wrong type"),
    }
}

#[test]
fn the_check_refuses_what_the_api_server_would() {
    let status = |json| serde_json::from_value::<PhoneMigrationStatus>(json).unwrap();
    let bad = status(serde_json::json!({
        "id": "é".repeat(129), "attemptLimit": 21,
        "attempt": {"number": -1, "id": "a", "signedAt": "2026-11-23T12:00:00Z", "secret": {"uid": "u", "resourceVersion": "1"}},
    }));
    let found = refusals(&bad);
    assert_eq!(
        found,
        [
            "status.attempt.number: out of bounds",
            "status.attemptLimit: out of bounds",
            "status.id: too long"
        ]
    );
    assert_eq!(
        refusals(&status(serde_json::json!({"id": "é".repeat(128)}))),
        [""; 0]
    );
}
