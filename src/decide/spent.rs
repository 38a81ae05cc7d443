//! A resource that has spent codes: only a different code goes on, or one that a person let
//! through where the operator cannot tell. PURE.

use jiff::Timestamp;

use super::{
    Decision, Elsewhere, Next, Observed, Owner, acknowledge, exhausted, go, may_raise, requested,
    say, token_changed, unusable,
};
use crate::code::{Code, CodeReading, Sameness, sameness};
use crate::crd::PhoneMigrationStatus;
use crate::fact::{Fact, NoCode};
use crate::reads::Purpose;
use crate::reason::{Outcome, Reason, Spent};
use crate::status::last_spent;

/// What to do about a resource whose last spent code ended so.
pub(super) fn spent(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    let (late, later) = late_read(o, status, now);
    if let Some(read) = late {
        return read;
    }
    if o.object.spec.suspend {
        return suspended(o, status, later);
    }
    match o.code {
        None => Decision {
            fact: None,
            next: Next::ReadCode,
        },
        Some(reading) => with_code(o, status, reading, now),
    }
}

/// Finished states stay as they are; anything else would claim, which a suspended one does not.
fn suspended(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    next_read: Option<Timestamp>,
) -> Decision {
    let next = next_read.map_or(Next::Rest, Next::At);
    let finished = status
        .reason
        .as_deref()
        .and_then(Reason::parse)
        .is_some_and(|reason| {
            matches!(
                reason,
                Reason::CodeRejected
                    | Reason::RequestRejected
                    | Reason::AttemptsExhausted
                    | Reason::OutcomeUnknown
            )
        });
    if finished {
        acknowledge(o, status, next)
    } else {
        say(Fact::Suspended, next)
    }
}

fn with_code(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    reading: &CodeReading,
    now: Timestamp,
) -> Decision {
    let may_raise = may_raise(o.object, status);
    // A person raised the limit: that holds whatever the Secret contains.
    let stay = |fact| say(if may_raise { Fact::LimitRaised } else { fact }, Next::Poll);
    let concluded = Fact::Concluded { ambiguous: false };
    let CodeReading::Usable(code) = reading else {
        return stay(match unusable(reading) {
            // The user may delete a spent code; that is no reason to hide how it ended.
            Some(Fact::NoCode(NoCode::SecretNotFound | NoCode::KeyNotFound)) | None => concluded,
            Some(fact) => fact,
        });
    };
    let allowed = match sameness(code, status) {
        // Danger: no token, no unsuspending and no raised limit ever lets a spent code through.
        Sameness::Same => return stay(refingerprinted(o, code, status).unwrap_or(concluded)),
        Sameness::Different => true,
        Sameness::Unknown => {
            token_changed(o.object, status) || was_allowed_and_released(code, status)
        }
    };
    if !allowed {
        return stay(Fact::Concluded { ambiguous: true });
    }
    if exhausted(status) && !may_raise {
        return stay(Fact::Exhausted);
    }
    let taken_over = matches!(o.elsewhere, Some(Elsewhere::Ended { .. }));
    if may_raise && (code.is_expired(now) || taken_over) {
        return stay(Fact::LimitRaised);
    }
    match o.owner {
        // Finished resources never become duplicates.
        Owner::Other(_) => stay(concluded),
        Owner::Us => go(o, status, code, now),
    }
}

/// This very code was claimed, so it was let through, and released unspent: it needs no second
/// permission.
fn was_allowed_and_released(code: &Code, status: &PhoneMigrationStatus) -> bool {
    status.attempt.as_ref().is_some_and(|attempt| {
        attempt.outcome.map(Outcome::spent) == Some(Spent::Released)
            && attempt.code_fingerprint.as_ref() == Some(&code.fingerprint)
    })
}

/// The Secret never moved, so the code is the spent one; its fingerprint is under an old key.
///
/// Not after a change of the spec: another data key of the same Secret may hold another code,
/// and the fingerprint of the spent one must not be lost for that.
fn refingerprinted(o: &Observed<'_>, code: &Code, status: &PhoneMigrationStatus) -> Option<Fact> {
    let attempt = status.attempt.as_ref()?;
    let stored = attempt.code_fingerprint.as_deref().unwrap_or_default();
    let same_version = attempt.secret == code.secret;
    let same_spec = o.object.metadata.generation == Some(attempt.generation);
    let other_key = crate::code::key_id(stored) != crate::code::key_id(&code.fingerprint);
    (same_version && same_spec && other_key)
        .then(|| Fact::Refingerprinted(code.fingerprint.clone()))
}

/// Reads that are due after an attempt was concluded: a final unknown may still turn out to
/// have succeeded, and a refusal may hide success. The second value is the next one's time, if
/// none is due.
fn late_read(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    now: Timestamp,
) -> (Option<Decision>, Option<Timestamp>) {
    let Some((outcome, finished)) = last_spent(status) else {
        return (None, None);
    };
    let (purpose, asked) = match outcome {
        Outcome::UnknownFinal => (Purpose::Late, requested(o.object, status).is_some()),
        Outcome::Refused | Outcome::RequestRefused => (Purpose::MakeUp, false),
        Outcome::Accepted
        | Outcome::Adopted
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked
        | Outcome::Unknown => return (None, None),
    };
    let next = o.reads.next(purpose, finished, now);
    if asked || next.is_some_and(|at| at <= now) {
        let read = acknowledge(o, status, Next::ReadStatus(purpose));
        return (Some(read), None);
    }
    (None, next)
}
