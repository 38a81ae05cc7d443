//! The way of a code that may be submitted: through the queue to the claim. PURE.

use std::time::Duration;

use jiff::Timestamp;

use super::{Decision, Next, Observed, TurnState, acknowledge};
use crate::api::crd::{PhoneMigrationStatus, condition};
use crate::api::reason::Reason;
use crate::domain::code::Code;
use crate::domain::fact::{Fact, HoldCause, NoCode, QueuedFor, State};

/// Wait for a turn before status shows it: most resources get a turn sooner, which saves a write.
pub const SHOW_QUEUED_AFTER: Duration = Duration::from_secs(1);

/// How long a hold that the operator probes may last before status asks for a person.
const STALLS_AFTER: Duration = Duration::from_secs(60);

/// Queues a code that may be submitted, then claims it.
pub(super) fn queue(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    code: &Code,
    now: Timestamp,
) -> Decision {
    let decision = waiting(o, status, code, now);
    match stalls_at(o, status) {
        Some(at) => stalling(decision, at, now),
        None => decision,
    }
}

/// When a resource that shows a hold as progress must show it as stalled.
fn stalls_at(o: &Observed<'_>, status: &PhoneMigrationStatus) -> Option<Timestamp> {
    let shows_progress = status.is_true(condition::RECONCILING);
    let since = o.held_since.filter(|_| shows_progress)?;
    explains_hold(status.reason()?).then(|| since + STALLS_AFTER)
}

/// The same decision; it also shows the stall, or requeues for the time of the stall.
fn stalling(decision: Decision, at: Timestamp, now: Timestamp) -> Decision {
    let keeps_state = matches!(decision.fact, None | Some(Fact::Unchanged));
    match decision.next {
        Next::At(_) | Next::Stay(_) if keeps_state && at <= now => Decision {
            fact: Some(Fact::State(State::StillHeld)),
            ..decision
        },
        Next::At(next) if keeps_state => Decision {
            next: Next::At(next.min(at)),
            ..decision
        },
        Next::Stay(next) if keeps_state => Decision {
            next: Next::Stay(Some(next.map_or(at, |next| next.min(at)))),
            ..decision
        },
        Next::At(_)
        | Next::Stay(_)
        | Next::Rest
        | Next::Poll
        | Next::ReadCode
        | Next::Enqueue(_)
        | Next::Claim
        | Next::ReadStatus(_)
        | Next::StoreImport
        | Next::SettleUnsent
        | Next::Observe { .. }
        | Next::RereadLedger => decision,
    }
}

fn waiting(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    code: &Code,
    now: Timestamp,
) -> Decision {
    if code.is_expired(now) {
        return Decision::say(State::NoCode(NoCode::Expired), Next::Poll);
    }
    // An account hold has its own back-off for probes, and its probes go to other resources first.
    // If each resource also backed off, a due probe could find no resource to make it.
    let alone = match o.hold {
        Some(HoldCause::Account) => None,
        Some(
            HoldCause::Credentials
            | HoldCause::Clock
            | HoldCause::Transport
            | HoldCause::Ledger
            | HoldCause::Brake,
        )
        | None => backing_off(status, now),
    };
    if let Some(until) = alone {
        return acknowledge(o, status, Next::At(until));
    }
    match o.turn {
        TurnState::Granted => Decision::silent(Next::Claim),
        TurnState::None => Decision::silent(Next::Enqueue(code.expires_at)),
        TurnState::Waiting(waited) if waited < SHOW_QUEUED_AFTER => {
            Decision::silent(Next::Stay(Some(now + (SHOW_QUEUED_AFTER - waited))))
        }
        TurnState::Waiting(_) => {
            let next = Next::Stay(code.expires_at);
            let pauses = o.hold.is_some() || is_pausing(status, now);
            let is_other = matches!(o.hold, Some(HoldCause::Ledger | HoldCause::Brake));
            if explains_waiting(status) && pauses && !is_other {
                return acknowledge(o, status, next);
            }
            let why = match o.hold {
                Some(cause) => QueuedFor::Hold(cause),
                None if o.braked => QueuedFor::BrakedPair,
                None => QueuedFor::Turn,
            };
            Decision::say(State::Queued(why), next)
        }
    }
}

/// After the hold, a resource whose account was refused keeps a back-off of its own: the fault may
/// be in the resource.
fn backing_off(status: &PhoneMigrationStatus, now: Timestamp) -> Option<Timestamp> {
    let alone = status.reason() == Some(Reason::AccountError);
    let until = status.next_attempt_at.as_ref()?.0;
    let soon = until > now && until <= now + crate::back_off::LONGEST;
    (alone && soon).then_some(until)
}

fn is_pausing(status: &PhoneMigrationStatus, now: Timestamp) -> bool {
    status.next_attempt_at.as_ref().is_some_and(|at| at.0 > now)
}

/// States that explain the wait better than `Queued`.
fn explains_waiting(status: &PhoneMigrationStatus) -> bool {
    let reason = status.reason();
    reason.is_some_and(|reason| reason == Reason::Throttled || explains_hold(reason))
}

/// States that show a hold of the account.
pub fn explains_hold(reason: Reason) -> bool {
    match reason {
        Reason::CredentialsInvalid | Reason::AccountError | Reason::ClockSkew => true,
        Reason::SecretNotFound
        | Reason::SecretForbidden
        | Reason::KeyNotFound
        | Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::CodeUnknown
        | Reason::Queued
        | Reason::Throttled
        | Reason::Verified
        | Reason::CodeRejected
        | Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::OutcomeUnknown
        | Reason::LedgerUnreadable
        | Reason::DuplicatePhoneNumber
        | Reason::Suspended => false,
    }
}
