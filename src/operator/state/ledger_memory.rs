//! Memory about the ledgers: claims that were never sent, back-offs of numbers, dry runs. PURE.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::clock::BootTime;
use crate::operator::state::memory::{back_off, conflict_back_off};

/// Most abandoned claims that are remembered. If an older one appears, the operator observes it
/// like any other open entry.
const MOST_ABANDONED: usize = 10_000;

/// Claims that this process certainly never sent, but whose write may still appear. The operator
/// sets such a claim to NotSent when it appears.
#[derive(Default)]
pub struct Abandoned(Mutex<AbandonedIds>);

#[derive(Default)]
struct AbandonedIds {
    known: HashSet<String>,
    /// Oldest first; some may be settled.
    order: VecDeque<String>,
}

impl Abandoned {
    fn with<T>(&self, f: impl FnOnce(&mut AbandonedIds) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers the attempt.
    pub fn add(&self, attempt_id: &str) {
        self.with(|ids| {
            if !ids.known.insert(attempt_id.to_owned()) {
                return;
            }
            ids.order.push_back(attempt_id.to_owned());
            while ids.order.len() > MOST_ABANDONED
                && let Some(oldest) = ids.order.pop_front()
            {
                ids.known.remove(&oldest);
            }
        });
    }

    /// True if this process claimed the attempt and never sent it.
    pub fn contains(&self, attempt_id: &str) -> bool {
        self.with(|ids| ids.known.contains(attempt_id))
    }

    /// Forgets an attempt that is settled.
    pub fn remove(&self, attempt_id: &str) {
        self.with(|ids| ids.known.remove(attempt_id));
    }
}

/// Back-offs of numbers whose ledger cannot be used (5 s doubling to 5 min), or whose claims
/// conflict with other writes.
#[derive(Default)]
pub struct LedgerBackOffs(Mutex<HashMap<String, BackOff>>);

#[derive(Default)]
struct BackOff {
    failures: u32,
    conflicts: u32,
    until: BootTime,
}

impl LedgerBackOffs {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, BackOff>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The ledger cannot be used; returns when to try again. A longer back-off begins only after
    /// the last one is over.
    pub fn failed(&self, number: &str, now: BootTime) -> BootTime {
        self.with(|numbers| {
            let known = numbers.entry(number.to_owned()).or_default();
            if known.until <= now {
                known.until = now + back_off(known.failures);
                known.failures += 1;
            }
            known.until
        })
    }

    /// A claim met another write; returns when to try again: in 10 ms doubling to 5 s.
    pub fn conflicted(&self, number: &str, now: BootTime) -> BootTime {
        self.with(|numbers| {
            let known = numbers.entry(number.to_owned()).or_default();
            known.conflicts += 1;
            now + conflict_back_off(known.conflicts - 1)
        })
    }

    /// Whether the operator may try the ledger now.
    pub fn may_try(&self, number: &str, now: BootTime) -> bool {
        self.with(|numbers| numbers.get(number).is_none_or(|known| known.until <= now))
    }

    /// Forgets back-offs that are long over. Call it once in a while.
    pub fn forget_past(&self, now: BootTime) {
        let longest = crate::back_off::LONGEST;
        self.with(|numbers| numbers.retain(|_, known| known.until + longest > now));
    }

    /// Forgets the back-off of a number whose claim was stored.
    pub fn succeeded(&self, number: &str) {
        self.with(|numbers| numbers.remove(number));
    }
}

/// When the last dry run of a claim passed.
#[derive(Default)]
pub struct DryRuns(Mutex<Option<BootTime>>);

impl DryRuns {
    /// Remembers that a dry run passed now.
    pub fn passed(&self, now: BootTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When a dry run last passed.
    pub fn last_passed(&self) -> Option<BootTime> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
