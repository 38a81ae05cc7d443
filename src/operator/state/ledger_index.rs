//! The ledgers as this process last saw them, by phone number.
//!
//! A reconcile that does not act decides on this index, without a request. Code that acts reads the
//! ledger live, so an old or missing entry is never dangerous: a number without an entry counts as
//! having no ledger.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::clock::BootTime;
use crate::domain::ledger::Ledger;

/// Ledgers by phone number.
#[derive(Default)]
pub struct LedgerIndex(Mutex<HashMap<String, Indexed>>);

struct Indexed {
    ledger: Arc<Ledger>,
    version: u64,
    noted_at: BootTime,
}

/// The version of a missing ledger: older than any.
pub const ABSENT: u64 = 0;
/// The version of a ledger without a readable one: counts as new.
pub const UNREADABLE: u64 = u64::MAX;

/// The ledger's resourceVersion. Versions of one resource type are ordered.
pub fn version_of(object: &CodeLedger) -> u64 {
    let version = object.metadata.resource_version.as_deref();
    version.and_then(|v| v.parse().ok()).unwrap_or(UNREADABLE)
}

impl LedgerIndex {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, Indexed>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers a ledger whose request began at `asked_at` and was answered by `now`. An older
    /// version replaces the known one only if the known one was stored here before the request:
    /// then etcd was restored. True if something changed.
    pub fn note(
        &self,
        number: &str,
        mut ledger: Ledger,
        version: u64,
        asked_at: BootTime,
        now: BootTime,
    ) -> bool {
        self.with(|index| {
            let known = index.get(number);
            if known.is_some_and(|known| version < known.version && known.noted_at > asked_at) {
                return false;
            }
            let changed = match known {
                Some(known) => *known.ledger != ledger,
                None => ledger != Ledger::default(),
            };
            let noted_at = now;
            // The parser leaves room for three more entries, and there are ten thousand ledgers.
            ledger.entries.shrink_to_fit();
            let ledger = Arc::new(ledger);
            index.insert(
                number.to_owned(),
                Indexed {
                    ledger,
                    version,
                    noted_at,
                },
            );
            changed
        })
    }

    /// The ledger of this number, empty if none is known.
    pub fn get(&self, number: &str) -> Arc<Ledger> {
        self.with(|index| {
            index
                .get(number)
                .map_or_else(Arc::default, |known| Arc::clone(&known.ledger))
        })
    }

    /// Forgets the ledgers that a sweep, begun at this time, did not find. Returns their numbers.
    pub fn retain_noted_since(&self, begun: BootTime) -> Vec<String> {
        self.with(|index| {
            let lost = |known: &Indexed| known.noted_at < begun;
            let numbers = index
                .iter()
                .filter(|(_, known)| lost(known) && !known.ledger.entries.is_empty())
                .map(|(number, _)| number.clone())
                .collect();
            index.retain(|_, known| !lost(known));
            numbers
        })
    }

    /// Forgets one ledger.
    pub fn forget(&self, number: &str) {
        self.with(|index| index.remove(number));
    }

    /// Every open entry with its number.
    pub fn open(&self) -> Vec<(String, LedgerEntry)> {
        self.with(|index| {
            let usable = index.iter().filter(|(_, i)| i.ledger.unusable.is_none());
            usable
                .filter_map(|(number, i)| Some((number.clone(), i.ledger.open()?.clone())))
                .collect()
        })
    }

    /// How many ledgers have an open entry, and how many have ended entries only.
    pub fn counts(&self) -> (usize, usize) {
        self.with(|index| {
            let with_entries = index.values().filter(|i| !i.ledger.entries.is_empty());
            let (open, ended): (Vec<_>, Vec<_>) =
                with_entries.partition(|i| i.ledger.open().is_some());
            (open.len(), ended.len())
        })
    }
}
