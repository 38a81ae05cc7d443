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
fn a_ledger_is_the_operators_and_found_by_its_number() {
    assert_eq!(
        ledger_at("/metadata/name"),
        "codeledgers.phonemigration.dev"
    );
    assert_eq!(ledger_at("/spec/group"), "phonemigration.dev");
    assert_eq!(ledger_at("/spec/scope"), "Namespaced");
    assert_eq!(ledger_at("/spec/names/shortNames"), json!(["phledger"]));
    assert_eq!(ledger_at("/spec/names/categories"), json!(["cams"]));
    let version = ledger_at("/spec/versions/0");
    assert_eq!(version["name"], "v1alpha1");
    // One write carries all of it: there is no status subresource that could be written separately.
    assert_eq!(version["subresources"], Value::Null);
    assert_eq!(
        version["selectableFields"],
        json!([{"jsonPath": ".spec.phoneNumber"}])
    );
    let columns: Vec<(&str, &str)> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            assert_eq!(c["priority"].as_u64().unwrap_or(0), 0);
            (c["name"].as_str().unwrap(), c["jsonPath"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("Number", ".spec.phoneNumber"),
        ("Entries", ".summary.entries"),
        ("Open", ".summary.open"),
        ("Last outcome", ".summary.outcome"),
        ("Last resource", ".summary.resource"),
        ("Age", ".metadata.creationTimestamp"),
    ];
    assert_eq!(columns, expected);
}

/// The rules themselves are tested on a real API server, each by the writes that it allows and
/// refuses.
#[test]
fn the_bounds_and_rules_of_a_ledger_are_in_its_schema() {
    let entries = ledger_at(&format!("{SCHEMA}/properties/entries"));
    assert_eq!(entries["maxItems"], code_ledger::MAX_ENTRIES);
    assert_eq!(entries["x-kubernetes-list-type"], "map");
    assert_eq!(entries["x-kubernetes-list-map-keys"], json!(["attemptId"]));
    let released = ledger_at(&format!("{SCHEMA}/properties/released"));
    assert_eq!(released["maxItems"], code_ledger::MAX_RELEASED);
    let entry = &entries["items"];
    let words = crd::Outcome::ALL.map(crd::Outcome::as_str);
    assert_eq!(entry["properties"]["outcome"]["enum"], json!(words));
    let rules = |schema: &Value| {
        let rules = schema["x-kubernetes-validations"].as_array();
        rules.map_or(0, Vec::len)
    };
    assert_eq!(rules(&ledger_at(SCHEMA)), 3);
    assert_eq!(rules(&ledger_at(SPEC)), 1);
    assert_eq!(rules(entry), 1);
    for field in ["fingerprint", "signedAt"] {
        assert_eq!(rules(&entry["properties"][field]), 1, "{field}");
    }
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
        ("Number", 1),
        ("ErrorCode", 1),
        ("Attempts", 1),
        ("Request", 1),
        ("Age", 0),
        ("Message", 1),
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
