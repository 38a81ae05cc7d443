//! Which users' requests have already asked for their probe of a held account. PURE.

use std::collections::{HashMap, HashSet};

use crate::api::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::domain::decide::requested;

/// The values of requestedAt that no reconcile has acknowledged, by uid. Each asks for one probe,
/// however long it stays unacknowledged: a probe may spend a code, and each list brings the
/// annotation again.
#[derive(Debug, Default)]
pub(super) struct Requests(HashMap<String, String>);

impl Requests {
    /// Remembers a resource's request. Returns its uid if this value is new: it asks for a probe.
    pub(super) fn seen<'a>(&mut self, object: &'a PhoneMigration) -> Option<&'a str> {
        let uid = object.metadata.uid.as_deref()?;
        let none = PhoneMigrationStatus::default();
        let status = object.status.as_ref().unwrap_or(&none);
        let Some(value) = requested(object, status) else {
            self.0.remove(uid);
            return None;
        };
        let known = self.0.insert(uid.to_owned(), value.clone());
        (known != Some(value)).then_some(uid)
    }

    /// One of the resources whose request waits, if there is any.
    pub(super) fn any(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Forgets a resource that is gone.
    pub(super) fn gone(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Forgets all resources that are not listed.
    pub(super) fn retain(&mut self, listed: &HashSet<String>) {
        self.0.retain(|uid, _| listed.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::api::crd::REQUESTED_AT;

    fn resource(asks: &str, acknowledged: &str) -> PhoneMigration {
        serde_json::from_value(json!({
            "apiVersion": "phonemigration.dev/v1alpha1",
            "kind": "PhoneMigration",
            "metadata": {"name": "m", "uid": "u", "annotations": {REQUESTED_AT: asks}},
            "spec": {
                "custSpaceId": "1", "phoneNumber": "8613800000001",
                "verifyCodeSecretRef": {"name": "s"},
            },
            "status": {"observedGeneration": 1, "lastHandledReconcileAt": acknowledged},
        }))
        .unwrap()
    }

    #[test]
    fn each_value_asks_once_until_it_is_acknowledged() {
        let mut requests = Requests::default();
        assert_eq!(requests.seen(&resource("one", "")), Some("u"));
        assert_eq!(requests.seen(&resource("one", "")), None, "again in a list");
        assert_eq!(requests.any(), Some("u"));
        assert_eq!(requests.seen(&resource("two", "")), Some("u"));
        assert_eq!(requests.seen(&resource("two", "two")), None);
        assert_eq!(requests.any(), None);
        assert_eq!(requests.seen(&resource("one", "two")), Some("u"));
        requests.retain(&HashSet::from(["u".to_owned()]));
        assert_eq!(requests.any(), Some("u"));
        requests.retain(&HashSet::new());
        assert_eq!(requests.any(), None);
        assert_eq!(requests.seen(&resource("one", "two")), Some("u"));
        requests.gone("u");
        assert_eq!(requests.any(), None);
    }
}
