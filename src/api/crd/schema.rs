//! The parts of the schema that the derive macro does not generate, and the CRD as YAML. PURE.

use kube::core::crd::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::PhoneMigration;

/// The standard type has no bounds for its fields; these are the bounds of other API types.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "items": {
            "type": "object",
            "description": "One aspect of the state.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string", "minLength": 1, "maxLength": 64,
                    "description": "Ready, Reconciling, Stalled or Finished."
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "True, False or Unknown."
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "Generation of the spec that this condition speaks of."
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time",
                    "description": "When the status of the condition last changed."
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 64,
                    "description": "The state, in one word: the same in all four conditions and in status.reason."
                },
                "message": {
                    "type": "string", "maxLength": 512,
                    "description": "What it means, and what to do."
                }
            }
        }
    })
}

/// The CustomResourceDefinition of `PhoneMigration` as YAML, as committed in `crds/`.
///
/// This sets the schema default of `status`: a default nested below an absent `status` would have
/// no effect, and without one GitOps tools report the resource as current before the operator saw
/// it.
///
/// # Errors
/// Only if the generated value could not be serialised, which a test excludes.
pub fn crd_yaml() -> Result<String, serde_yaml_ng::Error> {
    let mut value = serde_yaml_ng::to_value(PhoneMigration::crd())?;
    let status = "spec versions 0 schema openAPIV3Schema properties status"
        .split(' ')
        .try_fold(&mut value, |node, key| match key.parse::<usize>() {
            Ok(index) => node.get_mut(index),
            Err(_) => node.get_mut(key),
        });
    if let Some(serde_yaml_ng::Value::Mapping(status)) = status {
        let default = serde_yaml_ng::from_str("{observedGeneration: -1}")?;
        status.insert("default".into(), default);
    }
    manual_yaml(value)
}

/// A CustomResourceDefinition as YAML. Its descriptions lose the line breaks of the source, because
/// `kubectl explain` breaks lines itself.
pub(crate) fn manual_yaml(mut value: serde_yaml_ng::Value) -> Result<String, serde_yaml_ng::Error> {
    unwrap_descriptions(&mut value);
    serde_yaml_ng::to_string(&value)
}

fn unwrap_descriptions(value: &mut serde_yaml_ng::Value) {
    use serde_yaml_ng::Value;
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping.iter_mut() {
                match value {
                    Value::String(text) if key == "description" => *text = unwrapped(text),
                    other => unwrap_descriptions(other),
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(unwrap_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

fn unwrapped(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
