//! `docs/reference/resource.md` is what the CRD says.

use std::fmt::Write;

use phone_migration_operator::crd::crd_yaml;
use serde_json::Value;

use crate::page::{cell, settle};

const HEAD: &str = "\
# PhoneMigration

Generated from the CustomResourceDefinition by `UPDATE_DOCS=1 cargo test --test docs reference`.
The API server enforces the rules; `kubectl explain phmig.spec` prints the same descriptions.
";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn type_of(schema: &Value) -> String {
    match (text(&schema["type"]), text(&schema["format"])) {
        ("array", _) => format!("list of {}", type_of(&schema["items"])),
        (kind, "") => kind.to_owned(),
        (kind, format) => format!("{kind} ({format})"),
    }
}

/// What the API server checks.
fn rules(schema: &Value) -> String {
    let mut rules = Vec::new();
    for (key, word) in [
        ("minLength", "characters ≥ "),
        ("maxLength", "characters ≤ "),
        ("minimum", "≥ "),
        ("maximum", "≤ "),
        ("maxItems", "items ≤ "),
    ] {
        if !schema[key].is_null() {
            rules.push(format!("{word}{}", schema[key]));
        }
    }
    if !schema["pattern"].is_null() {
        rules.push(format!("`{}`", text(&schema["pattern"])));
    }
    let words: Vec<&str> = list(&schema["enum"]).map(text).collect();
    if !words.is_empty() {
        rules.push(format!("one of `{}`", words.join("`, `")));
    }
    rules.extend(
        list(&schema["x-kubernetes-validations"]).map(|rule| text(&rule["message"]).to_owned()),
    );
    rules.join("; ")
}

fn rows(path: &str, schema: &Value, out: &mut String) {
    let required: Vec<&str> = list(&schema["required"]).map(text).collect();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        writeln!(
            out,
            "| `{path}` | {} | {} | {} | {} |",
            type_of(field),
            cell(&default),
            cell(&rules(field)),
            cell(text(&field["description"])),
        )
        .unwrap();
        if !field["properties"].is_null() {
            rows(&path, field, out);
        }
        if !field["items"]["properties"].is_null() {
            rows(&format!("{path}[]"), &field["items"], out);
        }
    }
}

fn reference(crd: &Value) -> String {
    let spec = &crd["spec"];
    let (names, version) = (&spec["names"], &spec["versions"][0]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut out = format!("{HEAD}\n{}\n\n", text(&schema["description"]));
    let joined = |value: &Value| list(value).map(text).collect::<Vec<_>>().join("`, `");
    writeln!(
        out,
        "- `apiVersion: {}/{}`, `kind: {}`",
        text(&spec["group"]),
        text(&version["name"]),
        text(&names["kind"])
    )
    .unwrap();
    writeln!(out, "- Scope: {}", text(&spec["scope"])).unwrap();
    writeln!(
        out,
        "- Names for kubectl: `{}`, `{}`, category `{}`",
        text(&names["plural"]),
        joined(&names["shortNames"]),
        joined(&names["categories"])
    )
    .unwrap();
    let fields: Vec<&str> = list(&version["selectableFields"])
        .map(|field| text(&field["jsonPath"]).trim_start_matches('.'))
        .collect();
    writeln!(out, "- Field selectors: `{}`", fields.join("`, `")).unwrap();
    let columns = |wide: bool| -> String {
        list(&version["additionalPrinterColumns"])
            .filter(|column| (column["priority"].as_i64().unwrap_or(0) > 0) == wide)
            .map(|column| text(&column["name"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    writeln!(
        out,
        "- Columns: {}; with `-o wide` also {}",
        columns(false),
        columns(true)
    )
    .unwrap();
    for part in ["spec", "status"] {
        let part_schema = &schema["properties"][part];
        writeln!(
            out,
            "\n## {part}\n\n{}\n",
            text(&part_schema["description"])
        )
        .unwrap();
        out.push_str("| Field | Type | Default | Rules | Meaning |\n|---|---|---|---|---|\n");
        rows("", part_schema, &mut out);
    }
    out
}

fn crd() -> Value {
    serde_yaml_ng::from_str(&crd_yaml().unwrap()).unwrap()
}

#[test]
fn reference_of_the_resource_is_what_the_crd_says() {
    settle("docs/reference/resource.md", &reference(&crd()));
}

/// Nothing is left out: as many rows as fields, and a description in each.
#[test]
fn every_field_is_described() {
    let page = reference(&crd());
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for row in &rows {
        assert!(!row.ends_with("|  |"), "{row}");
    }
    for field in [
        "verifyCodeSecretRef.expiresAtKey",
        "history[].outcome",
        "conditions[].message",
    ] {
        let start = format!("| `{field}` ");
        assert!(rows.iter().any(|row| row.starts_with(&start)), "{field}");
    }
}
