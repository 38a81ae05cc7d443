//! `docs/reference/resource.md` and `docs/reference/ledger.md` equal the CRDs.

use std::fmt::Write;

use phone_migration_operator::api::{code_ledger, crd};
use serde_json::Value;

use crate::page::{cell, settle};

/// A page: its file, the definition, and the argument of `kubectl explain`.
struct Reference {
    page: &'static str,
    crd: fn() -> Result<String, serde_yaml_ng::Error>,
    explain: &'static str,
    /// Parts of the resource with a table each; none: one table for all.
    parts: &'static [&'static str],
}

const RESOURCE: Reference = Reference {
    page: "docs/reference/resource.md",
    crd: crd::crd_yaml,
    explain: "phmig.spec",
    parts: &["spec", "status"],
};

const LEDGER: Reference = Reference {
    page: "docs/reference/ledger.md",
    crd: code_ledger::crd_yaml,
    explain: "codeledger.entries",
    parts: &[],
};

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

/// The API server's checks.
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
    rules.extend(messages(schema));
    rules.extend(messages(&schema["items"]));
    rules.join("; ")
}

/// The API server's messages for broken rules.
fn messages(schema: &Value) -> Vec<String> {
    list(&schema["x-kubernetes-validations"])
        .map(|rule| text(&rule["message"]).to_owned())
        .collect()
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

fn table(title: &str, schema: &Value, out: &mut String) {
    let description = text(&schema["description"]);
    writeln!(out, "\n## {title}\n\n{description}\n").unwrap();
    out.push_str("| Field | Type | Default | Rules | Meaning |\n|---|---|---|---|---|\n");
    rows("", schema, out);
}

impl Reference {
    fn definition(&self) -> Value {
        serde_yaml_ng::from_str(&(self.crd)().unwrap()).unwrap()
    }

    fn text(&self) -> String {
        let crd = self.definition();
        let spec = &crd["spec"];
        let (names, version) = (&spec["names"], &spec["versions"][0]);
        let schema = &version["schema"]["openAPIV3Schema"];
        let mut out = head(text(&names["kind"]), self.explain);
        writeln!(out, "\n{}\n", text(&schema["description"])).unwrap();
        outline(spec, version, &mut out);
        let rules = messages(schema);
        if !rules.is_empty() {
            writeln!(out, "- Rules: {}", rules.join("; ")).unwrap();
        }
        for part in self.parts {
            table(part, &schema["properties"][part], &mut out);
        }
        if self.parts.is_empty() {
            let mut whole = schema.clone();
            whole["description"] = "The API server checks all of it with each write.".into();
            table("Fields", &whole, &mut out);
        }
        out
    }
}

fn head(kind: &str, explain: &str) -> String {
    format!(
        "# {kind}\n\nFor people who look up a field. Generated from the CustomResourceDefinition by \
         `UPDATE_DOCS=1 cargo test --test docs reference`.\nThe API server enforces the rules; `kubectl explain {explain}` prints \
         the same descriptions.\n"
    )
}

/// Names, selectors and columns.
fn outline(spec: &Value, version: &Value, out: &mut String) {
    let names = &spec["names"];
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
    let wide = match columns(true) {
        none if none.is_empty() => none,
        more => format!("; with `-o wide` also {more}"),
    };
    writeln!(out, "- Columns: {}{wide}", columns(false)).unwrap();
}
#[test]
fn references_of_the_resources_are_what_the_crds_say() {
    for reference in [RESOURCE, LEDGER] {
        settle(reference.page, &reference.text());
    }
}
