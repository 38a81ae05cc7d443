//! What the cache keeps of a PhoneMigration: one text instead of several hundred small allocations.
//! A resource that needs nothing (`decide::needs_nothing`) is not in the cache at all.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::api::crd::PhoneMigration;
use crate::cluster::{Arrived, Unparsable};

/// A resource in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    /// Namespace, name, uid and resourceVersion only.
    meta: ObjectMeta,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// The rest of metadata, spec and status, as JSON.
    Text(Arc<[u8]>),
    /// This version cannot parse it.
    Unparsable,
}

impl Cached {
    /// Keeps what the cache needs of a received object.
    pub fn keep(arrived: &Arrived) -> Self {
        let all = arrived.meta();
        let meta = ObjectMeta {
            name: all.name.clone(),
            namespace: all.namespace.clone(),
            uid: all.uid.clone(),
            resource_version: all.resource_version.clone(),
            ..ObjectMeta::default()
        };
        let content = match &arrived.0 {
            Ok(object) => text_of(object),
            Err(Unparsable { .. }) => Content::Unparsable,
        };
        Self { meta, content }
    }

    /// The resource; `None` if this version cannot parse it.
    pub fn show(&self) -> Option<PhoneMigration> {
        let Content::Text(json) = &self.content else {
            return None;
        };
        let (rest, spec, status) = serde_json::from_slice::<(ObjectMeta, _, _)>(json).ok()?;
        let metadata = ObjectMeta {
            name: self.meta.name.clone(),
            namespace: self.meta.namespace.clone(),
            uid: self.meta.uid.clone(),
            resource_version: self.meta.resource_version.clone(),
            ..rest
        };
        Some(PhoneMigration {
            metadata,
            spec,
            status,
        })
    }
}

fn text_of(object: &PhoneMigration) -> Content {
    let rest = ObjectMeta {
        name: None,
        namespace: None,
        uid: None,
        resource_version: None,
        ..object.metadata.clone()
    };
    match serde_json::to_vec(&(&rest, &object.spec, &object.status)) {
        Ok(json) => Content::Text(json.into()),
        // Our own types, with strings as keys: this cannot fail.
        Err(_) => Content::Unparsable,
    }
}

/// kube's controller requires it.
impl<'de> Deserialize<'de> for Cached {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Arrived::deserialize(json).map(|arrived| Self::keep(&arrived))
    }
}

impl Resource for Cached {
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
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn object(status: Value) -> Value {
        json!({
            "metadata": {
                "name": "m", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-11-27T08:00:00Z",
                "deletionTimestamp": "2026-11-27T09:00:00Z",
                "annotations": {"phonemigration.dev/requestedAt": "now"},
                "labels": {"velero.io/restore-name": "r"},
            },
            "spec": {
                "custSpaceId": "1", "phoneNumber": "8613800001234", "suspend": true,
                "retryToken": "t", "verifyCodeSecretRef": {"name": "s", "key": "k"},
            },
            "status": status,
        })
    }

    fn status(reason: &str, id: Option<&str>) -> Value {
        let condition = json!({
            "type": "Ready", "status": "False", "reason": reason, "message": "why",
            "lastTransitionTime": "2026-11-27T08:00:00Z", "observedGeneration": 2,
        });
        json!({
            "observedGeneration": 2, "reason": reason, "id": id, "errorCode": "e",
            "lastHandledReconcileAt": "then", "lastHandledRetryToken": "t", "attemptLimit": 5,
            "attempt": {
                "number": 1, "id": "a", "signedAt": "2026-11-27T08:00:00Z", "generation": 2,
                "codeFingerprint": "k:f", "outcome": "Refused",
                "secret": {"uid": "s", "resourceVersion": "3"},
            },
            "history": [{
                "number": 1, "attemptId": "a", "outcome": "Refused",
                "finishedAt": "2026-11-27T08:00:00Z",
            }],
            "conditions": [condition],
        })
    }

    fn arrived(object: &Value) -> Arrived {
        serde_json::from_value(object.clone()).unwrap()
    }

    /// Nothing is cut: a status that is written over the cached one loses no history.
    #[test]
    fn a_resource_is_shown_as_it_arrived() {
        for status in [
            Value::Null,
            json!({"observedGeneration": -1}),
            status("CodeRejected", None),
            status("Verified", Some("id")),
        ] {
            let arrived = arrived(&object(status));
            let shown = Cached::keep(&arrived).show().unwrap();
            assert_eq!(shown, arrived.0.unwrap());
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_known_by_name() {
        let mut object = object(Value::Null);
        object["spec"] = json!({"phoneNumber": 5});
        let cached = Cached::keep(&arrived(&object));
        assert_eq!(cached.show(), None);
        assert_eq!(cached.meta().name.as_deref(), Some("m"));
    }
}
