//! A PhoneMigration from a read, list or watch, with only the fields that this process uses.
//!
//! Other writers own annotations, labels and managed fields, which may take 256 KiB and more of
//! each resource. The parser skips them, so a page is in memory once, as the received text. Status
//! writes are not affected: the API server takes only the status from them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::crd::{MAX_IDENTIFIER, PhoneMigration, PhoneMigrationSpec, REQUESTED_AT, RESTORED};

/// The parsed object. An object that this version cannot parse does not block the others.
#[derive(Clone, Debug)]
pub struct Arrived(pub Result<PhoneMigration, Unparsable>);

/// An object that this version cannot parse.
#[derive(Clone, Debug)]
pub struct Unparsable {
    /// Its metadata, reduced to the fields that the operator uses.
    pub metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    annotations: Option<Annotations>,
    labels: Option<Labels>,
}

/// The only annotation that the operator reads.
#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "phonemigration.dev/requestedAt")]
    requested_at: Option<String>,
}

/// The only label that the operator reads.
#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "velero.io/restore-name")]
    restored: Option<String>,
}

impl From<RawMeta> for ObjectMeta {
    fn from(raw: RawMeta) -> Self {
        let one = |name: &str, value: Option<String>| {
            // The operator never compares more of a value than this.
            let value: String = value?.chars().take(MAX_IDENTIFIER).collect();
            Some(BTreeMap::from([(name.to_owned(), value)]))
        };
        let requested_at = raw
            .annotations
            .and_then(|annotations| annotations.requested_at);
        let restored = raw.labels.and_then(|labels| labels.restored);
        ObjectMeta {
            name: raw.name,
            namespace: raw.namespace,
            uid: raw.uid,
            resource_version: raw.resource_version,
            generation: raw.generation,
            creation_timestamp: raw.creation_timestamp,
            deletion_timestamp: raw.deletion_timestamp,
            annotations: one(REQUESTED_AT, requested_at),
            labels: one(RESTORED, restored),
            ..ObjectMeta::default()
        }
    }
}

impl<'de> Deserialize<'de> for Arrived {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(json)?;
        let metadata = ObjectMeta::from(raw.metadata);
        let spec = serde_json::from_value::<PhoneMigrationSpec>(raw.spec);
        let status = serde_json::from_value(raw.status);
        let (Ok(spec), Ok(status)) = (spec, status) else {
            return Ok(Self(Err(Unparsable { metadata })));
        };
        Ok(Self(Ok(PhoneMigration {
            metadata,
            spec,
            status,
        })))
    }
}

impl Resource for Arrived {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        PhoneMigration::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        PhoneMigration::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        PhoneMigration::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        PhoneMigration::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => &object.metadata,
            Err(unparsable) => &unparsable.metadata,
        }
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => &mut object.metadata,
            Err(unparsable) => &mut unparsable.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({
            "apiVersion": "phonemigration.dev/v1alpha1",
            "kind": "PhoneMigration",
            "metadata": {
                "name": "m", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-11-27T08:00:00Z",
                "annotations": {REQUESTED_AT: "now", "big": "x".repeat(1000)},
                "labels": {RESTORED: "r", "app": "a"},
                "managedFields": [{"manager": "m", "operation": "Update"}],
            },
            "spec": {
                "custSpaceId": "1", "phoneNumber": "8613800001234",
                "verifyCodeSecretRef": {"name": "s"},
            },
            "status": {"observedGeneration": -1},
        })
    }

    fn arrived(body: &Value) -> Arrived {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn what_is_used_arrives_and_the_rest_does_not() {
        let object = arrived(&body()).0.unwrap();
        let whole: PhoneMigration = serde_json::from_value(body()).unwrap();
        assert_eq!((&object.spec, &object.status), (&whole.spec, &whole.status));
        let meta = &object.metadata;
        let kept = |map: &Option<BTreeMap<String, String>>| map.clone().unwrap_or_default();
        assert_eq!(
            kept(&meta.annotations),
            [(REQUESTED_AT.to_owned(), "now".to_owned())].into()
        );
        assert_eq!(
            kept(&meta.labels),
            [(RESTORED.to_owned(), "r".to_owned())].into()
        );
        let rest = ObjectMeta {
            annotations: meta.annotations.clone(),
            labels: meta.labels.clone(),
            managed_fields: None,
            ..whole.metadata
        };
        assert_eq!(*meta, rest);
    }

    /// The operator keeps no more of a 200 KiB value than it compares.
    #[test]
    fn a_long_request_is_cut_where_it_is_compared() {
        let mut body = body();
        body["metadata"]["annotations"][REQUESTED_AT] = json!("é".repeat(200_000));
        let object = arrived(&body).0.unwrap();
        let kept = &object.metadata.annotations.unwrap()[REQUESTED_AT];
        assert_eq!(kept.chars().count(), MAX_IDENTIFIER);
    }

    #[test]
    fn what_cannot_be_parsed_keeps_its_name_and_nothing_is_null() {
        for (field, value) in [
            ("spec", json!({})),
            ("spec", Value::Null),
            ("status", json!(5)),
        ] {
            let mut body = body();
            body[field] = value;
            let arrived = arrived(&body);
            assert!(arrived.0.is_err(), "{body}");
            assert_eq!(arrived.meta().name.as_deref(), Some("m"));
        }
        let mut bare = body();
        bare["status"] = Value::Null;
        bare["metadata"]["annotations"] = Value::Null;
        bare["metadata"]["labels"] = json!({"app": "a"});
        let object = arrived(&bare).0.unwrap();
        assert_eq!(
            (
                object.status,
                object.metadata.annotations,
                object.metadata.labels
            ),
            (None, None, None)
        );
    }
}
