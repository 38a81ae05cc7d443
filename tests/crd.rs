//! The CustomResourceDefinition: the committed file is the generated one, every field is bounded
//! and described, and what people and tools rely on is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use phone_migration_operator::crd::crd_yaml;
use serde_json::{Value, json};

const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
const STATUS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/status";

fn crd() -> Value {
    serde_yaml_ng::from_str(&crd_yaml().unwrap()).unwrap()
}

fn at(pointer: &str) -> Value {
    let crd = crd();
    crd.pointer(pointer)
        .unwrap_or_else(|| panic!("nothing at {pointer}"))
        .clone()
}

#[test]
fn the_committed_file_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/phonemigrations.yaml");
    let committed = fs::read_to_string(path).unwrap();
    assert!(
        committed == crd_yaml().unwrap(),
        "crds/phonemigrations.yaml is not what the types say: run `cargo run -- crd > crds/phonemigrations.yaml`"
    );
}

/// Every schema below `schema`, with its path.
fn walk(schema: &Value, path: String, found: &mut Vec<(String, Value)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, format!("{path}.{name}"), found);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], format!("{path}[]"), found);
    }
    found.push((path, schema.clone()));
}

fn fields() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(&at(SPEC), "spec".into(), &mut found);
    walk(&at(STATUS), "status".into(), &mut found);
    assert!(found.len() > 45, "only {} fields found", found.len());
    found
}

#[test]
fn every_field_is_bounded() {
    for (path, schema) in fields() {
        let has = |name: &str| schema.get(name).is_some();
        match schema["type"].as_str().unwrap() {
            "string" => assert!(
                has("maxLength") || has("enum") || schema["format"] == "date-time",
                "{path} may be of any length"
            ),
            "array" => assert!(has("maxItems"), "{path} may have any number of items"),
            "integer" => assert!(
                has("maximum") || schema["format"] == "int64",
                "{path} may be any number"
            ),
            "boolean" | "object" => {}
            other => panic!("{path} is of type {other}"),
        }
        assert!(
            !has("x-kubernetes-preserve-unknown-fields"),
            "{path} takes anything"
        );
    }
}

#[test]
fn every_field_is_described() {
    for (path, schema) in fields() {
        let words = schema["description"].as_str().unwrap_or_default();
        assert!(
            words.split_whitespace().count() >= 3,
            "{path} is described as {words:?}"
        );
    }
}

#[test]
fn names_and_scope_are_those_of_the_manual() {
    assert_eq!(at("/metadata/name"), "phonemigrations.phonemigration.dev");
    assert_eq!(at("/spec/group"), "phonemigration.dev");
    assert_eq!(at("/spec/scope"), "Namespaced");
    assert_eq!(at("/spec/names/shortNames"), json!(["phmig"]));
    assert_eq!(at("/spec/names/categories"), json!(["cams"]));
    assert_eq!(at("/spec/versions/0/name"), "v1alpha1");
    assert_eq!(at("/spec/versions/0/subresources"), json!({"status": {}}));
}

#[test]
fn a_new_resource_does_not_look_current() {
    assert_eq!(
        at(&format!("{STATUS}/default")),
        json!({"observedGeneration": -1})
    );
}

#[test]
fn columns_show_the_state_first_and_the_details_when_asked() {
    let columns = at("/spec/versions/0/additionalPrinterColumns");
    let shown: Vec<(&str, u64)> = columns
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (
                c["name"].as_str().unwrap(),
                c["priority"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let expected = [
        ("Ready", 0),
        ("Reason", 0),
        ("Id", 0),
        ("ErrorCode", 1),
        ("Attempts", 1),
        ("Request", 1),
        ("Age", 0),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn resources_can_be_selected_by_number_reason_and_error() {
    let paths = [".spec.phoneNumber", ".status.reason", ".status.errorCode"];
    let expected = paths.map(|path| json!({"jsonPath": path}));
    assert_eq!(at("/spec/versions/0/selectableFields"), json!(expected));
}

#[test]
fn number_and_space_are_immutable_and_their_form_is_checked() {
    for (field, pattern) in [
        ("custSpaceId", "^([0-9]+|cams-[0-9A-Za-z-]+)$"),
        ("phoneNumber", "^[1-9][0-9]{6,14}$"),
    ] {
        let schema = at(&format!("{SPEC}/properties/{field}"));
        assert_eq!(
            schema["x-kubernetes-validations"][0]["rule"],
            "self == oldSelf"
        );
        assert_eq!(schema["pattern"], pattern);
    }
    let required = json!(["custSpaceId", "phoneNumber", "verifyCodeSecretRef"]);
    assert_eq!(at(&format!("{SPEC}/required")), required);
}

#[test]
fn defaults_are_static_in_the_schema() {
    for (field, default) in [
        ("adoptIfVerified", json!(true)),
        ("suspend", json!(false)),
        ("retryToken", json!("")),
        ("verifyCodeSecretRef/properties/key", json!("code")),
        (
            "verifyCodeSecretRef/properties/expiresAtKey",
            json!("expiresAt"),
        ),
    ] {
        assert_eq!(
            at(&format!("{SPEC}/properties/{field}/default")),
            default,
            "{field}"
        );
    }
}

#[test]
fn conditions_are_a_map_by_type() {
    let conditions = at(&format!("{STATUS}/properties/conditions"));
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn a_bound_of_the_schema_is_the_one_that_is_written_to() {
    use phone_migration_operator::crd;
    for (field, bound, value) in [
        ("id", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("errorCode", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("requestId", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("errorMessage", "maxLength", crd::MAX_MESSAGE as u64),
        ("phoneNumber", "maxLength", crd::MAX_NAME as u64),
        ("history", "maxItems", crd::MAX_ATTEMPTS as u64),
        (
            "attempt/properties/number",
            "maximum",
            crd::MAX_NUMBER as u64,
        ),
        ("attemptLimit", "maximum", crd::MAX_ATTEMPTS as u64),
    ] {
        let schema = at(&format!("{STATUS}/properties/{field}"));
        assert_eq!(schema[bound].as_f64(), Some(value as f64), "{field}");
    }
}
