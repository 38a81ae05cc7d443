//! A code that may be submitted: its way through the queue to the claim. PURE.

use jiff::Timestamp;

use super::{
    Decision, Elsewhere, Next, Observed, SHOW_QUEUED_AFTER, TurnState, acknowledge, quietly, say,
};
use crate::code::Code;
use crate::crd::PhoneMigrationStatus;
use crate::fact::{Fact, NoCode, QueuedFor};
use crate::reads::Purpose;
use crate::reason::Reason;
use crate::status::codes_spent;

/// How soon to look again at an attempt for the same number by a resource that is gone.
const OTHER_ATTEMPT_RECHECK: std::time::Duration = std::time::Duration::from_secs(5);

/// A code that may be submitted: queue, then claim.
pub(super) fn go(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    code: &Code,
    now: Timestamp,
) -> Decision {
    if code.is_expired(now) {
        return say(Fact::NoCode(NoCode::Expired), Next::Poll);
    }
    match &o.elsewhere {
        Some(Elsewhere::Open) => {
            return say(
                Fact::Queued(QueuedFor::OtherAttempt),
                Next::At(now + OTHER_ATTEMPT_RECHECK),
            );
        }
        Some(Elsewhere::Ended { .. }) => return quietly(Next::ReadStatus(Purpose::TakeOver)),
        None => {}
    }
    if let Some(until) = backing_off(status, now) {
        return acknowledge(o, status, Next::At(until));
    }
    match o.turn {
        TurnState::Granted => quietly(Next::Claim(codes_spent(status) + 1)),
        TurnState::None => quietly(Next::Enqueue(code.expires_at)),
        TurnState::Waiting(waited) if waited < SHOW_QUEUED_AFTER => {
            quietly(Next::Stay(Some(now + (SHOW_QUEUED_AFTER - waited))))
        }
        TurnState::Waiting(_) => {
            let next = Next::Stay(code.expires_at);
            if explains_waiting(status) && (o.hold.is_some() || still_pausing(status, now)) {
                return acknowledge(o, status, next);
            }
            say(
                Fact::Queued(o.hold.map_or(QueuedFor::Turn, QueuedFor::Hold)),
                next,
            )
        }
    }
}

/// A resource whose account was refused backs off alone: the hold's probe goes to others.
fn backing_off(status: &PhoneMigrationStatus, now: Timestamp) -> Option<Timestamp> {
    let alone = status.reason.as_deref() == Some(Reason::AccountError.as_str());
    let until = status.next_attempt_at.as_ref()?.0;
    (alone && until > now && until <= now + crate::reads::MAX_BACK_OFF).then_some(until)
}

fn still_pausing(status: &PhoneMigrationStatus, now: Timestamp) -> bool {
    status.next_attempt_at.as_ref().is_some_and(|at| at.0 > now)
}

/// States that say better than `Queued` why the resource waits.
fn explains_waiting(status: &PhoneMigrationStatus) -> bool {
    status
        .reason
        .as_deref()
        .and_then(Reason::parse)
        .is_some_and(|reason| {
            matches!(
                reason,
                Reason::CredentialsInvalid
                    | Reason::AccountError
                    | Reason::ClockSkew
                    | Reason::Throttled
            )
        })
}
