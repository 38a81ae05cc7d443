//! Compares the CRDs that the API server serves with those of this version, by its OpenAPI
//! document.

use serde_json::Value;

use crate::api::{code_ledger, crd};
use crate::cluster::{Cluster, ClusterError};

/// Most missing fields that a line names.
const NAMED: usize = 5;

/// One of the operator's resource types.
pub(super) struct ResourceType {
    kind: &'static str,
    plural: &'static str,
    crd: fn() -> Result<String, serde_yaml_ng::Error>,
    /// The type has the status subresource, so a status write changes nothing else.
    has_status: bool,
}

/// All resource types of the operator.
pub(super) const TYPES: [ResourceType; 2] = [
    ResourceType {
        kind: "CodeLedger",
        plural: "codeledgers",
        crd: code_ledger::crd_yaml,
        has_status: false,
    },
    ResourceType {
        kind: "PhoneMigration",
        plural: "phonemigrations",
        crd: crd::crd_yaml,
        has_status: true,
    },
];

/// How the served schema of a resource type compares with this version's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The API server serves every field that this version needs.
    Fine,
    /// The API server does not serve the type.
    Nothing,
    /// The API server serves another version; the text names what is missing.
    Lacks(String),
}

/// Reads the OpenAPI document of the operator's API group; null if the API server serves none of
/// it. After an install or an upgrade the document follows some seconds late.
pub(super) async fn document(cluster: &Cluster) -> Result<Value, ClusterError> {
    match cluster.openapi("apis/phonemigration.dev/v1alpha1").await {
        Err(ClusterError::NotFound) => Ok(Value::Null),
        result => result,
    }
}

impl ResourceType {
    /// Name of the CustomResourceDefinition.
    pub(super) fn name(&self) -> String {
        format!("{}.phonemigration.dev", self.plural)
    }

    /// The file that holds the CRD.
    pub(super) fn file(&self) -> String {
        format!("crds/{}.yaml", self.plural)
    }

    /// Compares the document with this version's schema of the type.
    pub(super) fn judge(&self, document: &Value) -> Served {
        let schema = format!("dev.phonemigration.v1alpha1.{}", self.kind);
        let found = &document["components"]["schemas"][schema];
        if found.is_null() {
            return Served::Nothing;
        }
        // A test proves that the schema parses. Without a schema, nothing counts as missing.
        let mut lacks = missing(&self.schema().unwrap_or_default(), found);
        let status = format!(
            "/apis/phonemigration.dev/v1alpha1/namespaces/{{namespace}}/{}/{{name}}/status",
            self.plural
        );
        if self.has_status && document["paths"].get(status).is_none() {
            lacks.push("the status subresource".to_owned());
        }
        match lacks.as_slice() {
            [] => Served::Fine,
            lacks => Served::Lacks(in_words(lacks)),
        }
    }

    /// The schema that this binary would install.
    fn schema(&self) -> Option<Value> {
        let crd = serde_yaml_ng::from_str::<Value>(&(self.crd)().ok()?).ok()?;
        let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        schema.is_object().then_some(schema)
    }
}

fn in_words(lacks: &[String]) -> String {
    let named = lacks[..lacks.len().min(NAMED)].join(", ");
    match lacks.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Paths of the fields that `wanted` has and `found` lacks.
fn missing(wanted: &Value, found: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", wanted, found, &mut paths);
    paths
}

fn compare(path: &str, wanted: &Value, found: &Value, paths: &mut Vec<String>) {
    for (name, field) in wanted["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match found["properties"].get(name) {
            Some(there) => compare(&path, field, there, paths),
            None => paths.push(path),
        }
    }
    if wanted["items"].is_object() {
        compare(path, &wanted["items"], &found["items"], paths);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn missing_fields_are_named_by_their_paths() {
        let leaf = json!({"type": "string"});
        let wanted = json!({"properties": {
            "spec": {"properties": {"a": leaf, "b": leaf}},
            "status": {"properties": {"list": {"items": {"properties": {"x": leaf, "y": leaf}}}}},
        }});
        let found = json!({"properties": {
            "spec": {"properties": {"a": leaf, "more": leaf}},
            "status": {"properties": {"list": {"items": {"properties": {"y": leaf}}}}},
        }});
        assert_eq!(missing(&wanted, &found), [".spec.b", ".status.list.x"]);
        assert_eq!(missing(&wanted, &wanted), [""; 0]);
        assert_eq!(missing(&wanted, &Value::Null), [".spec", ".status"]);
    }

    /// A document with exactly the schemas that this binary would install.
    fn of_this_version() -> Value {
        let status = "/apis/phonemigration.dev/v1alpha1/namespaces/{namespace}/phonemigrations/{name}/status";
        let mut document = json!({"paths": {status: {}}});
        for of in &TYPES {
            let name = format!("dev.phonemigration.v1alpha1.{}", of.kind);
            document["components"]["schemas"][name] = of.schema().unwrap();
        }
        document
    }

    #[test]
    fn what_is_served_is_judged_type_by_type() {
        let [ledgers, migrations] = &TYPES;
        let document = of_this_version();
        for of in &TYPES {
            assert_eq!(of.judge(&document), Served::Fine, "{}", of.kind);
            assert_eq!(of.judge(&Value::Null), Served::Nothing, "{}", of.kind);
        }
        let mut older = document.clone();
        let entry = "/components/schemas/dev.phonemigration.v1alpha1.CodeLedger/properties/entries/items/properties";
        let fields = older.pointer_mut(entry).unwrap().as_object_mut().unwrap();
        fields.remove("finalAt").unwrap();
        older["paths"] = json!({});
        assert_eq!(
            ledgers.judge(&older),
            Served::Lacks(".entries.finalAt".to_owned())
        );
        assert_eq!(
            migrations.judge(&older),
            Served::Lacks("the status subresource".to_owned())
        );
    }

    #[test]
    fn a_line_names_only_some_of_the_fields() {
        let lacks: Vec<String> = (0..8).map(|n| format!(".f{n}")).collect();
        assert_eq!(in_words(&lacks[..2]), ".f0, .f1");
        assert_eq!(in_words(&lacks), ".f0, .f1, .f2, .f3, .f4 and 3 more");
    }
}
