//! The codes that this process has sent, over all resources, for a day.
//!
//! Status is the record; this is the second line for a status that was lost: a resource deleted
//! and recreated, or restored without its status, does not spend its code again while the
//! process lives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{PhoneMigrationStatus, SpentCode};
use crate::decide::Elsewhere;
use crate::fact::Told;
use crate::reason::Outcome;

const KEPT: Duration = Duration::from_secs(24 * 3600);

struct Entry {
    number: String,
    attempt_id: String,
    outcome: Option<Outcome>,
    told: Told,
    at: Timestamp,
    final_at: Timestamp,
}

/// Fingerprints of codes whose send began in the last 24 h.
#[derive(Default)]
pub struct SpentCodes(Mutex<HashMap<String, Entry>>);

impl SpentCodes {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The send of a code for a phone number begins. False if another attempt with this code is known: it must not
    /// be sent then. `final_at`: when its signature has surely expired.
    pub fn begin(
        &self,
        fingerprint: &str,
        number: &str,
        attempt_id: &str,
        now: Timestamp,
        final_at: Timestamp,
    ) -> bool {
        self.with(|entries| {
            entries.retain(|_, entry| now < entry.at + KEPT || now <= entry.final_at);
            if entries.contains_key(fingerprint) {
                return false;
            }
            let entry = Entry {
                number: number.to_owned(),
                attempt_id: attempt_id.to_owned(),
                outcome: None,
                told: Told::default(),
                at: now,
                final_at,
            };
            entries.insert(fingerprint.to_owned(), entry);
            true
        })
    }

    /// The attempt was released: its code was certainly not used.
    pub fn release(&self, fingerprint: &str, attempt_id: &str) {
        self.with(|entries| {
            if entries
                .get(fingerprint)
                .is_some_and(|e| e.attempt_id == attempt_id)
            {
                entries.remove(fingerprint);
            }
        });
    }

    /// The attempt of this id ended so.
    pub fn end(&self, attempt_id: &str, outcome: Outcome, told: &Told) {
        self.with(|entries| {
            for entry in entries.values_mut().filter(|e| e.attempt_id == attempt_id) {
                if outcome.may_replace(entry.outcome) {
                    entry.outcome = Some(outcome);
                    entry.told = told.clone();
                }
            }
        });
    }

    /// What is known of this code, or of an open attempt with another code of this phone number,
    /// that `status` does not know.
    pub fn elsewhere(
        &self,
        fingerprint: &str,
        number: &str,
        status: &PhoneMigrationStatus,
        now: Timestamp,
    ) -> Option<Elsewhere> {
        self.with(|entries| {
            let of_code = entries.get(fingerprint).filter(|e| !e.is_known_to(status));
            let Some(entry) = of_code else {
                let is_busy = |e: &Entry| e.number == number && e.outcome_at(now).is_none();
                let busy = entries
                    .values()
                    .any(|e| is_busy(e) && !e.is_known_to(status));
                return busy.then_some(Elsewhere::Open);
            };
            Some(match entry.outcome_at(now) {
                None => Elsewhere::Open,
                Some(outcome) => Elsewhere::Ended {
                    code: SpentCode {
                        number: 1,
                        attempt_id: entry.attempt_id.clone(),
                        code_fingerprint: Some(fingerprint.to_owned()),
                        outcome,
                        error_code: entry.told.code.clone(),
                        request_id: entry.told.request_id.clone(),
                        finished_at: Time(entry.at),
                    },
                    final_at: entry.final_at,
                },
            })
        })
    }
}

impl Entry {
    fn is_known_to(&self, status: &PhoneMigrationStatus) -> bool {
        let attempt = status.attempt.as_ref().map(|a| a.id.as_str());
        let mut history = status.history.iter();
        attempt == Some(&self.attempt_id) || history.any(|e| e.attempt_id == self.attempt_id)
    }

    /// How the attempt ended; `None` while it may still be executed.
    fn outcome_at(&self, now: Timestamp) -> Option<Outcome> {
        match self.outcome {
            // Nobody observes it any more; the look that takes it over reads the status.
            None | Some(Outcome::Unknown) if now > self.final_at => Some(Outcome::UnknownFinal),
            None | Some(Outcome::Unknown) => None,
            other => other,
        }
    }
}
