//! What a status says about the codes spent so far. PURE.

use jiff::Timestamp;

use crate::crd::{DEFAULT_ATTEMPT_LIMIT, MAX_ATTEMPTS, PhoneMigrationStatus};
use crate::reason::{Outcome, Spent};

/// How many codes this number has used up; released attempts count as none.
pub fn codes_spent(status: &PhoneMigrationStatus) -> i32 {
    let last = status.attempt.as_ref().map_or(0, |attempt| {
        match attempt.outcome.map_or(Spent::Open, Outcome::spent) {
            Spent::Released => attempt.number.saturating_sub(1),
            Spent::Open | Spent::Spent | Spent::Verified => attempt.number,
        }
    });
    let newest = status.history.iter().map(|entry| entry.number).max();
    last.max(newest.unwrap_or(0)).max(0)
}

/// How many codes may be spent; never more than 20, whatever status says.
pub fn attempt_limit(status: &PhoneMigrationStatus) -> i32 {
    status
        .attempt_limit
        .unwrap_or(DEFAULT_ATTEMPT_LIMIT)
        .clamp(0, MAX_ATTEMPTS)
}

/// How the last spent code ended; `None` if none was spent.
pub fn concluded(status: &PhoneMigrationStatus) -> Option<Outcome> {
    last_spent(status).map(|(outcome, _)| outcome)
}

/// The same, with the moment at which that was recorded.
pub fn last_spent(status: &PhoneMigrationStatus) -> Option<(Outcome, Timestamp)> {
    let of_attempt = status.attempt.as_ref().and_then(|attempt| {
        let outcome = attempt.outcome?;
        let at = attempt.finished_at.as_ref().unwrap_or(&attempt.signed_at).0;
        match outcome.spent() {
            Spent::Spent | Spent::Verified => Some((attempt.number, (outcome, at))),
            Spent::Open | Spent::Released => None,
        }
    });
    let of_history = status
        .history
        .first()
        .map(|entry| (entry.number, (entry.outcome, entry.finished_at.0)));
    // The attempt and its own history entry have one number: the attempt is the newer word.
    of_history
        .into_iter()
        .chain(of_attempt)
        .max_by_key(|(number, _)| *number)
        .map(|(_, last)| last)
}
