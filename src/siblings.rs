//! Which resources name the same phone number, and which of them owns it.
//!
//! The account can move a number once, so only the owner may attempt it. Rebuilt from the watch
//! after a start; `owner` is PURE.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::cluster::Key;
use crate::crd::{PhoneMigration, PhoneMigrationStatus, condition};
use crate::decide::{Owner, is_open, is_verified};
use crate::metrics::UnknownKind;
use crate::reason::Reason;
use crate::status::codes_spent;

/// What ownership depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// metadata.uid.
    pub uid: String,
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
    /// metadata.creationTimestamp.
    pub created: Timestamp,
    /// The number is verified through this resource.
    pub verified: bool,
    /// An attempt is open.
    pub open: bool,
    /// Codes were spent.
    pub spent: bool,
    /// spec.suspend.
    pub suspended: bool,
    /// The last look found a code that could be sent. Known to this process only.
    pub usable_code: bool,
    /// Reason, for the count of resources by state.
    pub reason: Option<Reason>,
    /// Condition Stalled, for the same.
    pub stalled: bool,
}

impl Sibling {
    fn new(object: &PhoneMigration) -> Option<Self> {
        let meta = &object.metadata;
        let status = object.status.clone().unwrap_or_default();
        Some(Self {
            uid: meta.uid.clone()?,
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            created: meta.creation_timestamp.as_ref()?.0,
            verified: is_verified(&status),
            open: is_open(&status),
            spent: codes_spent(&status) > 0,
            suspended: object.spec.suspend,
            usable_code: false,
            reason: status.reason.as_deref().and_then(Reason::parse),
            stalled: is_stalled(&status),
        })
    }

    /// How its outcome is unknown, if it is.
    fn unknown(&self) -> Option<UnknownKind> {
        if self.reason != Some(Reason::OutcomeUnknown) {
            return None;
        }
        Some(match (self.open, self.stalled) {
            (true, false) => UnknownKind::Provisional,
            (true, true) => UnknownKind::Overdue,
            (false, _) => UnknownKind::Final,
        })
    }
}

fn is_stalled(status: &PhoneMigrationStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == condition::STALLED && c.status == "True")
}

/// The owner: who is verified, else who has an open attempt, else who spent codes, else who has
/// a usable code and is not suspended; among equals the oldest, then the smallest uid. Who has
/// neither code nor attempt owns nothing, so that nobody can squat on a number.
pub fn owner<'a>(siblings: impl IntoIterator<Item = &'a Sibling>) -> Option<&'a Sibling> {
    siblings
        .into_iter()
        .filter_map(|s| {
            let rank = if s.verified {
                0
            } else if s.open {
                1
            } else if s.spent {
                2
            } else if s.usable_code && !s.suspended {
                3
            } else {
                return None;
            };
            Some(((rank, s.created, &s.uid), s))
        })
        .min_by_key(|(key, _)| *key)
        .map(|(_, s)| s)
}

/// Every resource by phone number.
#[derive(Default)]
pub struct Siblings(Mutex<Index>);

#[derive(Default)]
struct Index {
    by_number: HashMap<String, BTreeMap<String, Sibling>>,
    number_of: HashMap<String, String>,
}

impl Index {
    /// Puts it in, or in its own place. Returns the others that name the number if its owner
    /// changed.
    fn take_in(&mut self, object: &PhoneMigration) -> Vec<Key> {
        let Some(mut new) = Sibling::new(object) else {
            return Vec::new();
        };
        let number = object.spec.phone_number.clone();
        self.number_of.insert(new.uid.clone(), number.clone());
        let group = self.by_number.entry(number).or_default();
        let old = group.get(&new.uid);
        new.usable_code = old.is_some_and(|old| old.usable_code);
        let is_known = old.is_some();
        let uid = new.uid.clone();
        let before = owner_uid(group);
        group.insert(uid.clone(), new);
        if is_known && owner_uid(group) != before {
            others(group, &uid)
        } else {
            Vec::new()
        }
    }
}

impl Siblings {
    fn with<T>(&self, f: impl FnOnce(&mut Index) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what the watch showed. Returns the others that name the number if its owner
    /// changed.
    pub fn seen(&self, object: &PhoneMigration) -> Vec<Key> {
        self.with(|index| index.take_in(object))
    }

    /// Takes in what a read or a write showed. Only the watch tells who is there: the reply about
    /// a resource may come after its deletion, and then nothing would ever take it out again.
    pub fn updated(&self, object: &PhoneMigration) -> Vec<Key> {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.with(|index| {
            if index.number_of.contains_key(uid) {
                index.take_in(object)
            } else {
                Vec::new()
            }
        })
    }

    /// Forgets a resource that was deleted; returns the others, who may own the number now.
    pub fn gone(&self, uid: &str) -> Vec<Key> {
        self.with(|index| {
            let Some(number) = index.number_of.remove(uid) else {
                return Vec::new();
            };
            let Some(group) = index.by_number.get_mut(&number) else {
                return Vec::new();
            };
            group.remove(uid);
            let others = others(group, uid);
            if group.is_empty() {
                index.by_number.remove(&number);
            }
            others
        })
    }

    /// Forgets every resource of a namespace (`None`: of all) that a full list no longer shows.
    pub fn retain(&self, namespace: Option<&str>, listed: &HashSet<String>) -> Vec<Key> {
        let lost: Vec<String> = self.with(|index| {
            let siblings = index.by_number.values().flat_map(BTreeMap::values);
            siblings
                .filter(|s| namespace.is_none_or(|namespace| namespace == s.namespace))
                .map(|s| s.uid.clone())
                .filter(|uid| !listed.contains(uid))
                .collect()
        });
        lost.iter().flat_map(|uid| self.gone(uid)).collect()
    }

    /// Notes whether the last look found a code that can be sent; returns the others if the
    /// owner changed by that.
    pub fn usable_code(&self, uid: &str, usable: bool) -> Vec<Key> {
        self.with(|index| {
            let group = index
                .number_of
                .get(uid)
                .and_then(|number| index.by_number.get_mut(number));
            let Some(group) = group else {
                return Vec::new();
            };
            let before = owner_uid(group);
            let Some(sibling) = group.get_mut(uid) else {
                return Vec::new();
            };
            sibling.usable_code = usable;
            if owner_uid(group) == before {
                return Vec::new();
            }
            others(group, uid)
        })
    }

    /// Who owns the number of `object`.
    pub fn owner_for(&self, object: &PhoneMigration) -> Owner {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.with(|index| {
            let Some(group) = index.by_number.get(&object.spec.phone_number) else {
                return Owner::Us;
            };
            match owner(group.values()) {
                Some(owner) if owner.uid != uid => Owner::Other(
                    (Some(&owner.namespace) == object.metadata.namespace.as_ref())
                        .then(|| owner.name.clone()),
                ),
                Some(_) | None => Owner::Us,
            }
        })
    }

    /// How many resources are in each state; those without one yet are not counted.
    pub fn by_reason(&self) -> HashMap<Reason, usize> {
        self.with(|index| {
            let mut counts = HashMap::new();
            for sibling in index.by_number.values().flat_map(BTreeMap::values) {
                if let Some(reason) = sibling.reason {
                    *counts.entry(reason).or_insert(0) += 1;
                }
            }
            counts
        })
    }

    /// How many outcomes are unknown in this way.
    pub fn unknown_outcomes(&self, kind: UnknownKind) -> usize {
        self.with(|index| {
            let siblings = index.by_number.values().flat_map(BTreeMap::values);
            siblings.filter(|s| s.unknown() == Some(kind)).count()
        })
    }
}

fn owner_uid(group: &BTreeMap<String, Sibling>) -> Option<String> {
    owner(group.values()).map(|owner| owner.uid.clone())
}

fn others(group: &BTreeMap<String, Sibling>, uid: &str) -> Vec<Key> {
    group
        .values()
        .filter(|s| s.uid != uid)
        .map(|s| Key {
            namespace: s.namespace.clone(),
            name: s.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
