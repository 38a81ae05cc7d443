//! The CustomResourceDefinitions: the committed files are the generated ones, every field is
//! bounded and described, and everything that people and tools rely on exists.
//!
//! `UPDATE_CRDS=1 cargo test --test crd` writes the files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use phone_migration_operator::api::{code_ledger, crd, crds_yaml};
use serde_json::{Value, json};

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
const STATUS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/status";

/// Each definition with the name of its file.
fn files() -> [(&'static str, String); 2] {
    [
        ("codeledgers.yaml", code_ledger::crd_yaml().unwrap()),
        ("phonemigrations.yaml", crd::crd_yaml().unwrap()),
    ]
}

fn of(yaml: &str) -> Value {
    serde_yaml_ng::from_str(yaml).unwrap()
}

fn pick(crd: &Value, pointer: &str) -> Value {
    crd.pointer(pointer)
        .unwrap_or_else(|| panic!("nothing at {pointer}"))
        .clone()
}

/// A part of the definition of PhoneMigration.
fn at(pointer: &str) -> Value {
    pick(&of(&crd::crd_yaml().unwrap()), pointer)
}

/// A part of the definition of CodeLedger.
fn ledger_at(pointer: &str) -> Value {
    pick(&of(&code_ledger::crd_yaml().unwrap()), pointer)
}

#[test]
fn the_committed_files_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (name, generated) in files() {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_CRDS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "crds/{name} is not what the types say: run `UPDATE_CRDS=1 cargo test --test crd`"
        );
    }
    let [ledgers, migrations] = files().map(|(_, yaml)| yaml);
    assert_eq!(crds_yaml().unwrap(), format!("{ledgers}---\n{migrations}"));
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
    walk(&at(SPEC), "PhoneMigration.spec".into(), &mut found);
    walk(&at(STATUS), "PhoneMigration.status".into(), &mut found);
    assert!(found.len() > 45, "only {} fields found", found.len());
    walk(&ledger_at(SCHEMA), "CodeLedger".into(), &mut found);
    assert!(found.len() > 75, "only {} fields found", found.len());
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
        // For the rules, an outcome of null would be neither absent nor a word.
        assert!(
            !path.starts_with("CodeLedger") || !has("nullable"),
            "{path} may be null"
        );
    }
}

#[test]
fn every_field_is_described() {
    // A list of words is described as a whole.
    let of_its_own =
        |(path, schema): &(String, Value)| !path.ends_with("[]") || schema["type"] == "object";
    for (path, schema) in fields().into_iter().filter(of_its_own) {
        let words = schema["description"].as_str().unwrap_or_default();
        assert!(
            words.split_whitespace().count() >= 3,
            "{path} is described as {words:?}"
        );
    }
}

/// One write carries all of it: there is no status subresource that could be written separately.
#[test]
fn a_ledger_has_no_status_subresource() {
    let version = ledger_at("/spec/versions/0");
    assert_eq!(version["subresources"], Value::Null);
}

/// Its rules are tested on a real API server, each by the writes that it allows and refuses.
#[test]
fn the_bounds_and_words_of_a_ledger_are_in_its_schema() {
    let entries = ledger_at(&format!("{SCHEMA}/properties/entries"));
    assert_eq!(entries["maxItems"], code_ledger::MAX_ENTRIES);
    let released = ledger_at(&format!("{SCHEMA}/properties/released"));
    assert_eq!(released["maxItems"], code_ledger::MAX_RELEASED);
    let words = crd::Outcome::ALL.map(crd::Outcome::as_str);
    assert_eq!(
        entries["items"]["properties"]["outcome"]["enum"],
        json!(words)
    );
}

#[test]
fn conditions_are_a_map_by_type() {
    let conditions = at(&format!("{STATUS}/properties/conditions"));
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn a_bound_of_the_schema_is_the_one_that_is_written_to() {
    for (field, bound, value) in [
        ("id", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("errorCode", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("requestId", "maxLength", crd::MAX_IDENTIFIER as u64),
        ("errorMessage", "maxLength", crd::MAX_MESSAGE as u64),
        ("phoneNumber", "maxLength", crd::MAX_NAME as u64),
        ("history", "maxItems", crd::MAX_ATTEMPTS as u64),
        (
            "handledRetryTokens",
            "maxItems",
            crd::MAX_HANDLED_TOKENS as u64,
        ),
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
