//! The attempts that this process has sent: the entry of each one whose gate opened here, with its
//! last known outcome, for the life of the process.
//!
//! This is the last protection behind the ledger. It closes the gate for a code that was sent
//! although its ledger was lost, and the operator fills a lost or restored ledger from it. Limit:
//! the memory of this process; 40 entries a number, about 300 bytes each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::api::code_ledger::{LedgerEntry, MAX_CLAIMS};
use crate::api::reason::CodeUse;
use crate::domain::ledger::{Ended, finish};

/// Entries by phone number.
#[derive(Default)]
pub struct SentEntries(Mutex<HashMap<String, Vec<LedgerEntry>>>);

impl SentEntries {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, Vec<LedgerEntry>>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins the send of an attempt. False if its code was sent before: then it must not be sent.
    pub fn begin(&self, number: &str, entry: &LedgerEntry) -> bool {
        self.with(|sent| {
            let entries = sent.entry(number.to_owned()).or_default();
            if entries.iter().any(|e| e.fingerprint == entry.fingerprint) {
                return false;
            }
            entries.insert(0, entry.clone());
            entries.truncate(MAX_CLAIMS);
            true
        })
    }

    /// Ends an attempt. A released one was certainly not executed: its code may be sent again.
    pub fn end(&self, number: &str, attempt_id: &str, ended: &Ended, now: Timestamp) {
        self.with(|sent| {
            let Some(entries) = sent.get_mut(number) else {
                return;
            };
            if ended.outcome.code_use() == CodeUse::Released {
                entries.retain(|e| e.attempt_id != attempt_id);
                if entries.is_empty() {
                    sent.remove(number);
                }
                return;
            }
            for entry in entries.iter_mut().filter(|e| e.attempt_id == attempt_id) {
                if ended.outcome.may_replace(entry.outcome) {
                    finish(entry, ended, now);
                }
            }
        });
    }

    /// Takes over what the ledger says of an attempt: a read may have ended one without an answer.
    pub fn learn(&self, number: &str, entry: &LedgerEntry, now: Timestamp) {
        if let Some(ended) = Ended::of_entry(entry).filter(|_| !entry.is_released()) {
            self.end(number, &entry.attempt_id, &ended, now);
        }
    }

    /// The entries sent for this number, newest first.
    pub fn of(&self, number: &str) -> Vec<LedgerEntry> {
        self.with(|sent| sent.get(number).cloned().unwrap_or_default())
    }

    /// Forgets a number that no resource has any more and whose ledger is past its retention.
    pub fn forget(&self, number: &str) {
        self.with(|sent| sent.remove(number));
    }

    /// Numbers for which this process sent an attempt.
    pub fn numbers(&self) -> Vec<String> {
        self.with(|sent| sent.keys().cloned().collect())
    }
}
