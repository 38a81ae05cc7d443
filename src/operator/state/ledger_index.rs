//! The ledgers as this process last saw them, by phone number.
//!
//! A reconcile that does not act decides on this index, without a request. Code that acts reads the
//! ledger live, so an old or missing entry is never dangerous: a number without an entry counts as
//! having no ledger.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::clock::BootTime;
use crate::domain::ledger::Ledger;

/// Ledgers by phone number.
#[derive(Default)]
pub struct LedgerIndex(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_number: HashMap<String, Indexed>,
    /// The numbers with an open entry. Observation asks for them after each change, and there are
    /// few of them beside ten thousand ended ones.
    open: HashSet<String>,
}

struct Indexed {
    ledger: Arc<Ledger>,
    version: u64,
    noted_at: BootTime,
}

impl Inner {
    fn insert(&mut self, number: &str, indexed: Indexed) {
        match indexed.ledger.open() {
            Some(_) => self.open.insert(number.to_owned()),
            None => self.open.remove(number),
        };
        self.by_number.insert(number.to_owned(), indexed);
    }
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
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
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
            let known = index.by_number.get(number);
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
            let indexed = Indexed {
                ledger,
                version,
                noted_at,
            };
            index.insert(number, indexed);
            changed
        })
    }

    /// The ledger of this number, empty if none is known.
    pub fn get(&self, number: &str) -> Arc<Ledger> {
        self.with(|index| {
            let known = index.by_number.get(number);
            known.map_or_else(Arc::default, |known| Arc::clone(&known.ledger))
        })
    }

    /// Forgets the ledgers that a sweep, begun at this time, did not find. Returns their numbers.
    pub fn retain_noted_since(&self, begun: BootTime) -> Vec<String> {
        self.with(|index| {
            let lost = |known: &Indexed| known.noted_at < begun;
            let numbers = index
                .by_number
                .iter()
                .filter(|(_, known)| lost(known) && !known.ledger.entries.is_empty())
                .map(|(number, _)| number.clone())
                .collect();
            index.by_number.retain(|_, known| !lost(known));
            let by_number = &index.by_number;
            index.open.retain(|number| by_number.contains_key(number));
            numbers
        })
    }

    /// Forgets one ledger.
    pub fn forget(&self, number: &str) {
        self.with(|index| {
            index.by_number.remove(number);
            index.open.remove(number);
        });
    }

    /// Every open entry of a usable ledger, with its number.
    pub fn open(&self) -> Vec<(String, LedgerEntry)> {
        self.with(|index| {
            let open = index.open.iter();
            let usable = open.filter_map(|number| {
                let ledger = &index.by_number.get(number)?.ledger;
                ledger.unusable.is_none().then_some((number, ledger))
            });
            usable
                .filter_map(|(number, ledger)| Some((number.clone(), ledger.open()?.clone())))
                .collect()
        })
    }

    /// How many ledgers have an open entry, and how many have ended entries only.
    pub fn counts(&self) -> (usize, usize) {
        self.with(|index| {
            let ledgers = index.by_number.values();
            let with_entries = ledgers.filter(|i| !i.ledger.entries.is_empty()).count();
            (index.open.len(), with_entries - index.open.len())
        })
    }
}
