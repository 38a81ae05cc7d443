//! Status reads other than those of an attempt or of an open entry. PURE.

use jiff::Timestamp;

use super::{Decision, Next, Observed, duplicate};
use crate::api::code_ledger::LedgerEntry;
use crate::api::crd::PhoneMigrationStatus;
use crate::api::reason::Outcome;
use crate::domain::reads::{Purpose, Reads};

/// If a user asks for a reconcile, the number may have been verified elsewhere. So this adds one
/// read in every state that has none otherwise. A code that may be sent gets its pre-read anyway,
/// and a duplicate needs none: its number is verified.
pub(super) fn read_if_asked(o: &Observed<'_>, decision: Decision) -> Decision {
    let rests = matches!(decision.next, Next::Poll | Next::Rest | Next::At(_));
    if !o.asked || !rests || duplicate(o.object, o.ledger, o.neighbours).is_some() {
        return decision;
    }
    Decision {
        next: Next::ReadStatus(Purpose::Asked),
        ..decision
    }
}

pub(super) fn missing_id(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Next {
    let since = status.verified_at.as_ref().map_or(now, |at| at.0);
    let next = match o.asked {
        true => Some(now),
        false => o.reads.next(Purpose::MissingId, since, now),
    };
    read_or_wait(Purpose::MissingId, next, now)
}

fn read_or_wait(purpose: Purpose, next: Option<Timestamp>, now: Timestamp) -> Next {
    match next {
        Some(at) if at <= now => Next::ReadStatus(purpose),
        Some(at) => Next::At(at),
        None => Next::Rest,
    }
}

/// The read that is due after a code was spent: a refusal may hide success, and a final unknown may
/// still have succeeded. If no read is due, the second value is the time of the next one.
pub(super) fn late_read(
    status: &PhoneMigrationStatus,
    reads: &Reads,
    own_spent: Option<&LedgerEntry>,
    now: Timestamp,
) -> (Option<Purpose>, Option<Timestamp>) {
    let Some(entry) = own_spent else {
        return (None, None);
    };
    let (purpose, unshown) = match entry.outcome {
        Some(Outcome::UnknownFinal) => (Purpose::Late, false),
        Some(Outcome::Refused | Outcome::RequestRefused) => {
            let unshown = !entry.imported && !shows(status, &entry.attempt_id) && reads.done == 0;
            (Purpose::MakeUp, unshown)
        }
        Some(
            Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Throttled
            | Outcome::NotSent
            | Outcome::Blocked
            | Outcome::Unknown,
        )
        | None => return (None, None),
    };
    let finished = entry.finished_at.as_ref().map_or(now, |at| at.0);
    let next = reads.next(purpose, finished, now);
    if unshown || next.is_some_and(|at| at <= now) {
        return (Some(purpose), None);
    }
    (None, next)
}

/// Whether a status shows how this attempt ended.
fn shows(status: &PhoneMigrationStatus, attempt_id: &str) -> bool {
    let mut history = status.history.iter();
    let attempt = status.attempt.as_ref();
    attempt.is_some_and(|a| a.id == attempt_id && a.outcome.is_some())
        || history.any(|e| e.attempt_id == attempt_id)
}
