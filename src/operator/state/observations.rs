//! The open entries that this process observes: the reads made of each, and the requested reads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::api::code_ledger::LedgerEntry;
use crate::clock::{BootTime, Now};
use crate::domain::reads::Reads;

/// Longest wait between two checks for due reads: a wall clock may be set.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Observations by phone number.
#[derive(Default)]
pub struct Observations {
    known: Mutex<HashMap<String, Observation>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Observation {
    attempt_id: String,
    reads: Reads,
    since: BootTime,
    asked: bool,
    overdue: Option<String>,
}

impl Observations {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, Observation>) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the wait, since a read may be due by now.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    /// Waits until a read may be due: until this time, or until [`Observations::notify`].
    pub async fn wait(&self, until: Option<Timestamp>, now: Timestamp) {
        let wait = until.map_or(LONGEST_WAIT, |until| {
            let wait = until.duration_since(now);
            match wait.is_negative() {
                true => Duration::ZERO,
                false => wait.unsigned_abs().min(LONGEST_WAIT),
            }
        });
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
        }
    }

    /// When to read the status for the open entry of this number next.
    pub fn due(&self, number: &str, entry: &LedgerEntry, now: Now) -> Timestamp {
        self.with(|known| {
            let fresh = || Observation {
                attempt_id: entry.attempt_id.clone(),
                reads: Reads::none(now.wall),
                since: now.boot,
                asked: false,
                overdue: None,
            };
            let observation = known.entry(number.to_owned()).or_insert_with(fresh);
            if observation.attempt_id != entry.attempt_id {
                *observation = fresh();
            }
            // A clock that was ahead and is corrected must not delay the next reads.
            observation.reads = observation.reads.not_after(now.wall);
            if observation.asked {
                return now.wall;
            }
            observation.reads.next_observation(entry.final_at.0)
        })
    }

    /// Requests one read at once.
    pub fn ask(&self, number: &str) {
        self.with(|known| {
            if let Some(observation) = known.get_mut(number) {
                observation.asked = true;
            }
        });
        self.notify();
    }

    /// Records a read; `overdue`: why the entry has not ended although it should have.
    pub fn made(
        &self,
        number: &str,
        attempt_id: &str,
        answered: bool,
        overdue: Option<String>,
        now: Timestamp,
    ) {
        self.with(|known| {
            let observed = known.get_mut(number);
            if let Some(observation) = observed.filter(|o| o.attempt_id == attempt_id) {
                observation.reads = observation.reads.made(answered, now);
                observation.asked = false;
                observation.overdue = overdue;
            }
        });
    }

    /// How long this process has known the open entry of this number.
    pub fn known_for(&self, number: &str, attempt_id: &str, now: BootTime) -> Option<Duration> {
        self.with(|known| {
            let observation = known.get(number)?;
            (observation.attempt_id == attempt_id).then(|| now.saturating_sub(observation.since))
        })
    }

    /// Why the open entry of this number has not ended although it should have.
    pub fn overdue(&self, number: &str, attempt_id: &str) -> Option<String> {
        self.with(|known| {
            let observation = known.get(number)?;
            (observation.attempt_id == attempt_id)
                .then(|| observation.overdue.clone())
                .flatten()
        })
    }

    /// Forgets entries that are not open any more.
    pub fn retain(&self, is_open: impl Fn(&str) -> bool) {
        self.with(|known| known.retain(|number, _| is_open(number)));
    }
}
