//! Publishes Events through `events.k8s.io/v1`: one object for a new Event, and a series when the
//! same Event repeats.
//!
//! The operator does not use kube's recorder. That recorder builds an Event's name from the whole
//! name of its resource, so the API server refuses every Event of a resource with more than 236
//! characters. It also treats all Events with one reason as equal and keeps the first text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as Stored, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use sha2::{Digest, Sha256};

use super::{ClusterError, REPORTER, within};
use crate::clock::{self, BootTime};
use crate::hex::hex;

/// Longest name that the API server accepts.
const LONGEST_NAME: usize = 253;
/// How long a repeated Event joins its series; the API server keeps it for an hour by default.
const SERIES: Duration = Duration::from_secs(6 * 60);
/// Most Events that the recorder remembers; a repeat of any other one is published as new.
const MOST_KNOWN: usize = 10_000;

/// What makes two Events equal: the resource's uid, the reason, the action and the text.
type EventIdentity = (String, String, String, String);

/// Publishes Events, and remembers them for a while to count repeats.
#[derive(Clone)]
pub(super) struct Recorder {
    client: Client,
    instance: String,
    known: Arc<Mutex<HashMap<EventIdentity, Known>>>,
}

/// A published Event.
#[derive(Clone)]
struct Known {
    name: String,
    count: i32,
    last: BootTime,
}

impl Recorder {
    /// `instance` names this process in Events.
    pub(super) fn new(client: Client, instance: String) -> Self {
        let known = Arc::default();
        Self {
            client,
            instance,
            known,
        }
    }

    /// Publishes an Event about `object`, or counts a repeat in its series.
    pub(super) async fn publish(
        &self,
        event: &Event,
        object: &ObjectReference,
    ) -> Result<(), ClusterError> {
        let now = clock::now().wall;
        let namespace = object.namespace.as_deref().unwrap_or("default");
        let api: Api<Stored> = Api::namespaced(self.client.clone(), namespace);
        let told = told(event, object);
        if let Some(known) = self.again(&told, clock::boot()) {
            let series = EventSeries {
                count: known.count,
                last_observed_time: MicroTime(now),
            };
            let patch = serde_json::json!({"series": series});
            let params = PatchParams::default();
            match within(api.patch(&known.name, &params, &Patch::Merge(&patch))).await {
                // The Event was deleted meanwhile.
                Err(ClusterError::NotFound) => {}
                patched => return patched.map(drop),
            }
        }
        let stored = self.stored(event, object, now);
        let name = stored.metadata.name.clone().unwrap_or_default();
        within(api.create(&PostParams::default(), &stored)).await?;
        self.remember(told, name, clock::boot());
        Ok(())
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<EventIdentity, Known>) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same Event from a short time ago, with its count raised by one.
    fn again(&self, told: &EventIdentity, now: BootTime) -> Option<Known> {
        self.with(|known| {
            known.retain(|_, event| now.saturating_sub(event.last) < SERIES);
            let event = known.get_mut(told)?;
            event.count = event.count.saturating_add(1);
            event.last = now;
            Some(event.clone())
        })
    }

    fn remember(&self, told: EventIdentity, name: String, now: BootTime) {
        self.with(|known| {
            if known.len() < MOST_KNOWN {
                let (count, last) = (1, now);
                known.insert(told, Known { name, count, last });
            }
        });
    }

    fn stored(&self, event: &Event, object: &ObjectReference, now: Timestamp) -> Stored {
        let name = object.name.as_deref().unwrap_or(super::MANAGER);
        Stored {
            metadata: ObjectMeta {
                name: Some(event_name(name, now)),
                namespace: object.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some(event.action.clone()),
            event_time: Some(MicroTime(now)),
            note: event.note.clone(),
            reason: Some(event.reason.clone()),
            regarding: Some(object.clone()),
            related: event.secondary.clone(),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(
                match event.type_ {
                    EventType::Normal => "Normal",
                    EventType::Warning => "Warning",
                }
                .to_owned(),
            ),
            ..Stored::default()
        }
    }
}

fn told(event: &Event, object: &ObjectReference) -> EventIdentity {
    (
        object.uid.clone().unwrap_or_default(),
        event.reason.clone(),
        event.action.clone(),
        event.note.clone().unwrap_or_default(),
    )
}

/// Name of a new Event: the resource's name and the time. If that is too long, a hash of the whole
/// name replaces the end of the name. PURE.
fn event_name(resource: &str, now: Timestamp) -> String {
    let time = format!(".{:x}", now.as_nanosecond());
    let room = LONGEST_NAME - time.len();
    if resource.len() <= room {
        return format!("{resource}{time}");
    }
    let hash = hex(&Sha256::digest(resource.as_bytes())[..8]);
    let begin: String = resource.chars().take(room - hash.len() - 1).collect();
    // A dot or a dash must not precede the next dash.
    let begin = begin.trim_end_matches(['.', '-']);
    format!("{begin}-{hash}{time}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_cut_to_what_the_api_server_takes() {
        let now: Timestamp = "2026-11-27T09:00:00.123456789Z".parse().unwrap();
        assert_eq!(event_name("store-42", now), "store-42.18ebdb4cfba96d15");
        let long = |end: &str| format!("{}{end}", "a".repeat(250 - end.len()));
        let names = [
            long("x"),
            long("y"),
            "a.".repeat(126) + "b",
            "a".repeat(236),
        ];
        let mut seen = std::collections::HashSet::new();
        for name in &names {
            let cut = event_name(name, now);
            assert!(cut.len() <= LONGEST_NAME, "{}", cut.len());
            assert!(!cut.contains(".-") && !cut.contains("--"), "{cut}");
            assert!(seen.insert(cut), "two resources share a name");
        }
        assert!(event_name(&names[3], now).starts_with(&names[3]));
    }
}
