//! Refusals in a row, in the order in which the submissions were sent. PURE.

use super::super::Pair;
use super::super::pacer::SendId;
use crate::clock::BootTime;

/// This many refusals with one Code, for different numbers, are one cause.
const ENOUGH: usize = 3;

/// One refused submission.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Identifies the phone number.
    pub(super) ledger: String,
    pub(super) pair: Pair,
    pub(super) send: SendId,
    pub(super) at: BootTime,
    /// Its pair was braked before this refusal.
    pub(super) was_braked: bool,
}

/// The newest refusals with one Code, at most one per number, oldest first.
#[derive(Debug, Default)]
pub(super) struct Run {
    code: String,
    refusals: Vec<Refusal>,
}

impl Run {
    /// True if a refusal with this Code continues the run.
    pub(super) fn is_of(&self, code: &str) -> bool {
        self.refusals.is_empty() || self.code == code
    }

    pub(super) fn is_full(&self) -> bool {
        self.refusals.len() == ENOUGH
    }

    pub(super) fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    pub(super) fn newest_at(&self) -> Option<BootTime> {
        self.refusals.iter().map(|refusal| refusal.at).max()
    }

    /// True if all are of one pair that was braked before: such refusals are nothing new.
    pub(super) fn is_of_one_braked_pair(&self) -> bool {
        let first = self.refusals.first().map(|refusal| &refusal.pair);
        let mut all = self.refusals.iter();
        let newest_was_braked = self.refusals.iter().all(|refusal| refusal.was_braked);
        newest_was_braked && all.all(|refusal| Some(&refusal.pair) == first)
    }

    /// A submission had another result, so refusals of submissions sent before it leave the run.
    /// True if the run is empty now.
    pub(super) fn broken_by(&mut self, send: SendId) -> bool {
        self.refusals.retain(|refusal| refusal.send > send);
        self.refusals.is_empty()
    }

    /// Adds a refusal. Ignores a refusal with another Code unless the run is empty: it was sent
    /// before all refusals of the run and says nothing about them.
    pub(super) fn note(&mut self, code: &str, refusal: Refusal) {
        if self.refusals.is_empty() {
            code.clone_into(&mut self.code);
        }
        if self.code != code {
            return;
        }
        self.refusals.retain(|known| known.ledger != refusal.ledger);
        self.refusals.push(refusal);
        self.refusals.sort_by_key(|refusal| refusal.send);
        if self.refusals.len() > ENOUGH {
            self.refusals.remove(0);
        }
    }
}
