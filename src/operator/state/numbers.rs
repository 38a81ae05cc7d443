//! Which watched resources have which phone number. The watch fills this index again after a start.
//!
//! It serves to wake and to count resources. It forbids codes that a status shows as spent; it
//! never allows a code.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::api::crd::{PhoneMigration, PhoneMigrationStatus, condition};
use crate::api::object_key::ObjectKey;
use crate::api::reason::{CodeUse, Outcome, Reason};
use crate::domain::decide::{Neighbour, ShownCode};
use crate::telemetry::metrics::UnknownKind;

/// What the index keeps of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resource {
    uid: String,
    key: ObjectKey,
    reason: Option<Reason>,
    stalled: bool,
    finished: bool,
    codes: Box<[ShownCode]>,
}

impl Resource {
    fn new(object: &PhoneMigration) -> Option<Self> {
        let meta = &object.metadata;
        let status = object.status.clone().unwrap_or_default();
        Some(Self {
            uid: meta.uid.clone()?,
            key: ObjectKey {
                namespace: meta.namespace.clone()?,
                name: meta.name.clone()?,
            },
            reason: status.reason(),
            stalled: holds(&status, condition::STALLED),
            finished: holds(&status, condition::FINISHED),
            codes: codes(&status),
        })
    }

    /// The kind of its unknown outcome, if the outcome is unknown.
    fn unknown(&self) -> Option<UnknownKind> {
        if self.reason != Some(Reason::OutcomeUnknown) {
            return None;
        }
        Some(match (self.finished, self.stalled) {
            (true, _) => UnknownKind::Final,
            (false, true) => UnknownKind::Overdue,
            (false, false) => UnknownKind::Provisional,
        })
    }
}

fn holds(status: &PhoneMigrationStatus, type_: &str) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == type_ && c.status == "True")
}

/// Codes that a status shows as spent or possibly spent.
fn codes(status: &PhoneMigrationStatus) -> Box<[ShownCode]> {
    let attempt = status.attempt.iter().filter_map(|attempt| {
        let used = attempt.outcome.map_or(CodeUse::Open, Outcome::code_use);
        let fingerprint = attempt.code_fingerprint.clone()?;
        (used != CodeUse::Released).then(|| ShownCode {
            attempt_id: attempt.id.clone(),
            fingerprint,
        })
    });
    let history = status.history.iter().filter_map(|entry| {
        let fingerprint = entry.code_fingerprint.clone()?;
        (entry.outcome.code_use() != CodeUse::Released).then(|| ShownCode {
            attempt_id: entry.attempt_id.clone(),
            fingerprint,
        })
    });
    attempt.chain(history).collect()
}

/// A resource that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its uid.
    pub uid: String,
    /// Its number.
    pub number: String,
    /// Its status said that the number was verified.
    pub was_verified: bool,
}

/// Every watched resource by phone number.
#[derive(Default)]
pub struct Numbers(Mutex<Index>);

/// Nearly every group has one member, and there are ten thousand groups: no vector has spare room.
#[derive(Default)]
struct Index(HashMap<String, Vec<Resource>>);

impl Index {
    fn put(&mut self, object: &PhoneMigration) {
        let Some(resource) = Resource::new(object) else {
            return;
        };
        let number = &object.spec.phone_number;
        if !self.0.contains_key(number) {
            self.0.insert(number.clone(), Vec::new());
        }
        let Some(group) = self.0.get_mut(number) else {
            return;
        };
        match group.iter_mut().find(|known| known.uid == resource.uid) {
            Some(known) => *known = resource,
            None => {
                group.reserve_exact(1);
                group.push(resource);
            }
        }
    }

    fn group(&self, number: &str) -> &[Resource] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = &Resource> {
        self.0.values().flatten()
    }

    /// Removes resources of one number.
    fn take_out(&mut self, number: &str, is_gone: impl Fn(&Resource) -> bool) -> Vec<Gone> {
        let Some(group) = self.0.get_mut(number) else {
            return Vec::new();
        };
        let gone = group.extract_if(.., |resource| is_gone(resource));
        let gone = gone.map(|resource| Gone {
            was_verified: resource.reason == Some(Reason::Verified),
            uid: resource.uid,
            number: number.to_owned(),
        });
        let gone = gone.collect();
        if group.is_empty() {
            self.0.remove(number);
        }
        gone
    }

    /// The same for all numbers.
    fn take_out_of_all(&mut self, is_gone: impl Fn(&Resource) -> bool) -> Vec<Gone> {
        let of_gone = |(number, group): (&String, &Vec<Resource>)| {
            group.iter().any(&is_gone).then(|| number.clone())
        };
        let numbers: Vec<String> = self.0.iter().filter_map(of_gone).collect();
        let gone = numbers
            .iter()
            .flat_map(|number| self.take_out(number, &is_gone));
        gone.collect()
    }
}

impl Numbers {
    fn with<T>(&self, f: impl FnOnce(&mut Index) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Updates the index from a watch event.
    pub fn seen(&self, object: &PhoneMigration) {
        self.with(|index| index.put(object));
    }

    /// Updates a known resource from a read or a write. Only the watch adds resources: a reply may
    /// come after the deletion, and then nothing would ever remove the resource again.
    pub fn updated(&self, object: &PhoneMigration) {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.with(|index| {
            let group = index.group(&object.spec.phone_number);
            if group.iter().any(|known| known.uid == uid) {
                index.put(object);
            }
        });
    }

    /// Forgets a deleted resource. `number`: its number, if known.
    pub fn gone(&self, uid: &str, number: Option<&str>) -> Vec<Gone> {
        let is_gone = |resource: &Resource| resource.uid == uid;
        self.with(|index| match number {
            Some(number) => index.take_out(number, is_gone),
            None => index.take_out_of_all(is_gone),
        })
    }

    /// Forgets every resource of a namespace (`None`: of all) that is missing in a full list.
    pub fn retain(&self, namespace: Option<&str>, listed: &HashSet<String>) -> Vec<Gone> {
        let is_gone = |resource: &Resource| {
            namespace.is_none_or(|namespace| namespace == resource.key.namespace)
                && !listed.contains(&resource.uid)
        };
        self.with(|index| index.take_out_of_all(is_gone))
    }

    /// True if the watch shows this resource of the number.
    pub fn knows(&self, number: &str, uid: &str) -> bool {
        self.with(|index| index.group(number).iter().any(|r| r.uid == uid))
    }

    /// The resources of a number that wait until the one that verified it is gone.
    pub fn duplicates(&self, number: &str) -> Vec<ObjectKey> {
        let waits = |r: &&Resource| r.reason == Some(Reason::DuplicatePhoneNumber);
        self.with(|index| {
            let waiting = index.group(number).iter().filter(waits);
            waiting.map(|r| r.key.clone()).collect()
        })
    }

    /// The resources of a number.
    pub fn of(&self, number: &str) -> Vec<ObjectKey> {
        self.with(|index| index.group(number).iter().map(|r| r.key.clone()).collect())
    }

    /// True if a watched resource has this number.
    pub fn has(&self, number: &str) -> bool {
        self.with(|index| index.0.contains_key(number))
    }

    /// The other watched resources of a number.
    pub fn neighbours(&self, number: &str, uid: &str) -> Vec<Neighbour> {
        self.with(|index| {
            let others = index.group(number).iter().filter(|r| r.uid != uid);
            let neighbour = |r: &Resource| Neighbour {
                uid: r.uid.clone(),
                namespace: r.key.namespace.clone(),
                name: r.key.name.clone(),
                codes: r.codes.to_vec(),
            };
            others.map(neighbour).collect()
        })
    }

    /// How many resources are in each state. A resource without a state is not counted.
    pub fn by_reason(&self) -> HashMap<Reason, usize> {
        self.with(|index| {
            let mut counts = HashMap::new();
            for reason in index.all().filter_map(|resource| resource.reason) {
                *counts.entry(reason).or_insert(0) += 1;
            }
            counts
        })
    }

    /// How many outcomes are unknown in this way.
    pub fn unknown_outcomes(&self, kind: UnknownKind) -> usize {
        let of_kind = |resource: &&Resource| resource.unknown() == Some(kind);
        self.with(|index| index.all().filter(of_kind).count())
    }
}
