//! decide(observed, now) -> what status is to say, and what to do next. PURE.
//!
//! Called twice for everything that matters: on the cached object to find out whether anything
//! is to be done at all, and on a live one before it is done.

use std::time::Duration;

use jiff::Timestamp;

use crate::code::{CodeReading, InvalidCode};
use crate::crd::{MAX_ATTEMPTS, PhoneMigration, PhoneMigrationStatus, REQUESTED_AT, SpentCode};
use crate::fact::{Fact, HoldCause, NoCode};
use crate::reads::{Purpose, Reads};
use crate::reason::{Outcome, Reason, Spent};
use crate::status::{attempt_limit, codes_spent, concluded};

mod go;
mod spent;

use go::go;
use spent::spent;

/// How long a resource waits for its turn before status says so: most get one sooner, and a
/// write is saved.
pub const SHOW_QUEUED_AFTER: Duration = Duration::from_secs(1);

/// The turn of this resource in the account's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnState {
    /// Not in the queue.
    None,
    /// In the queue for this long.
    Waiting(Duration),
    /// Granted: this look may claim.
    Granted,
}

/// An attempt with this very code, or an open one for this number, known from this process's
/// memory and not from this status: the resource was deleted and recreated, or restored without
/// its status.
#[derive(Clone, Debug, PartialEq)]
pub enum Elsewhere {
    /// Its outcome is not known yet.
    Open,
    /// How it ended.
    Ended {
        /// What history is to say of it.
        code: SpentCode,
        /// When its signature has surely expired, by the service's clock.
        final_at: Timestamp,
    },
}

/// Who owns the phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This resource, or nobody.
    Us,
    /// Another resource; its name only if it is in the same namespace.
    Other(Option<String>),
}

/// Everything a decision depends on but the time.
pub struct Observed<'a> {
    /// The resource; before an act, from a live GET.
    pub object: &'a PhoneMigration,
    /// The Secret, if it was read.
    pub code: Option<&'a CodeReading>,
    /// Who owns the number.
    pub owner: Owner,
    /// What memory knows of this code.
    pub elsewhere: Option<Elsewhere>,
    /// The turn.
    pub turn: TurnState,
    /// What holds the account, if anything.
    pub hold: Option<HoldCause>,
    /// The status reads made for this resource so far.
    pub reads: &'a Reads,
    /// How long the service accepts a signature (`--signature-validity`).
    pub validity: Duration,
}

/// What to do after the fact, if any, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until the object changes.
    Rest,
    /// Look again then.
    At(Timestamp),
    /// Look at the Secret again by the polling rules.
    Poll,
    /// Read the Secret now, and decide again.
    ReadCode,
    /// Ask for a turn. Earlier expiries go first.
    Enqueue(Option<Timestamp>),
    /// Stay in the queue, and look again then.
    Stay(Option<Timestamp>),
    /// Go: look, sign, claim and send, as the attempt of this number.
    Claim(i32),
    /// Read the number's verification status now.
    ReadStatus(Purpose),
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What status is to say, if it does not say it yet.
    pub fact: Option<Fact>,
    /// What comes then.
    pub next: Next,
}

fn say(fact: Fact, next: Next) -> Decision {
    Decision {
        fact: Some(fact),
        next,
    }
}

fn quietly(next: Next) -> Decision {
    Decision { fact: None, next }
}

/// The decision.
pub fn decide(o: &Observed<'_>, now: Timestamp) -> Decision {
    let none = PhoneMigrationStatus::default();
    let status = o.object.status.as_ref().unwrap_or(&none);
    if o.object.metadata.deletion_timestamp.is_some() {
        return quietly(Next::Rest);
    }
    if is_verified(status) {
        return verified(o, status, now);
    }
    if is_open(status) {
        return open(o, status, now);
    }
    match concluded(status) {
        Some(Outcome::Accepted | Outcome::Adopted) => verified(o, status, now),
        Some(_) => spent(o, status, now),
        // No number of ours: only a status that was restored in parts, or forged.
        None if exhausted(status) => spent(o, status, now),
        None if o.object.spec.suspend => say(Fact::Suspended, Next::Rest),
        None => fresh(o, status, now),
    }
}

/// True when the number is verified, as far as status says.
pub fn is_verified(status: &PhoneMigrationStatus) -> bool {
    let outcome = status.attempt.as_ref().and_then(|attempt| attempt.outcome);
    status.reason.as_deref() == Some(Reason::Verified.as_str())
        || outcome.is_some_and(|outcome| outcome.spent() == Spent::Verified)
}

/// True while an attempt may still be executed: nothing may be sent then.
pub fn is_open(status: &PhoneMigrationStatus) -> bool {
    status
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.outcome.map_or(Spent::Open, Outcome::spent) == Spent::Open)
}

/// True if nothing about this status depends on anything but the object: no request is needed.
pub fn is_settled(status: &PhoneMigrationStatus) -> bool {
    is_verified(status) && status.id.is_some()
}

/// True when spec.retryToken differs from the last one handled.
pub fn token_changed(object: &PhoneMigration, status: &PhoneMigrationStatus) -> bool {
    let handled = status.last_handled_retry_token.as_deref().unwrap_or("");
    // A restored or new resource with a token is not a change that anybody made.
    status.last_handled_retry_token.is_some() && object.spec.retry_token != handled
}

/// The annotation requestedAt, if it differs from the last one handled.
pub fn requested(object: &PhoneMigration, status: &PhoneMigrationStatus) -> Option<String> {
    let annotation = object.metadata.annotations.as_ref()?.get(REQUESTED_AT)?;
    let value: String = annotation
        .chars()
        .take(crate::crd::MAX_IDENTIFIER)
        .collect();
    (status.last_handled_reconcile_at.as_ref() != Some(&value)).then_some(value)
}

fn acknowledge(o: &Observed<'_>, status: &PhoneMigrationStatus, next: Next) -> Decision {
    let stale = status.observed_generation != o.object.metadata.generation;
    if stale || requested(o.object, status).is_some() {
        say(Fact::Seen, next)
    } else {
        quietly(next)
    }
}

fn verified(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    // Without the reason it was not we who wrote it, or not as it stands there (restored in
    // parts, or forged): no success until a read confirms it, and no reason to send either.
    let told = status.reason.as_deref() == Some(Reason::Verified.as_str());
    if told && status.id.is_some() {
        return acknowledge(o, status, Next::Rest);
    }
    let since = status.verified_at.as_ref().map_or(now, |at| at.0);
    let next = o.reads.next(Purpose::MissingId, since, now);
    acknowledge(o, status, read_or_wait(Purpose::MissingId, next, now))
}

fn read_or_wait(purpose: Purpose, next: Option<Timestamp>, now: Timestamp) -> Next {
    match next {
        Some(at) if at <= now => Next::ReadStatus(purpose),
        Some(at) => Next::At(at),
        None => Next::Rest,
    }
}

fn open(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    let Some(attempt) = &status.attempt else {
        return quietly(Next::Rest);
    };
    let final_at = crate::reads::final_at(attempt.signed_at.0, o.validity);
    let next = if requested(o.object, status).is_some() {
        Next::ReadStatus(Purpose::Open)
    } else {
        read_or_wait(Purpose::Open, Some(o.reads.next_observation(final_at)), now)
    };
    acknowledge(o, status, next)
}

/// True when as many codes are spent as may be.
fn exhausted(status: &PhoneMigrationStatus) -> bool {
    codes_spent(status) >= attempt_limit(status)
}

/// True when a person, told that the codes are used up, allows more of them.
fn may_raise(object: &PhoneMigration, status: &PhoneMigrationStatus) -> bool {
    exhausted(status)
        && status.reason.as_deref() == Some(Reason::AttemptsExhausted.as_str())
        && codes_spent(status) < MAX_ATTEMPTS
        && token_changed(object, status)
}

/// No code was spent yet.
fn fresh(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    let Some(reading) = o.code else {
        return quietly(Next::ReadCode);
    };
    if let Owner::Other(owner) = &o.owner {
        return say(
            Fact::Duplicate {
                owner: owner.clone(),
            },
            Next::Poll,
        );
    }
    match reading {
        // Only a status that somebody wrote by hand has a limit without a spent code.
        CodeReading::Usable(_) if exhausted(status) && !may_raise(o.object, status) => {
            say(Fact::Exhausted, Next::Poll)
        }
        CodeReading::Usable(code) => go(o, status, code, now),
        CodeReading::SecretNotFound | CodeReading::KeyNotFound | CodeReading::Invalid(_) => {
            Decision {
                fact: unusable(reading),
                next: Next::Poll,
            }
        }
    }
}

fn unusable(reading: &CodeReading) -> Option<Fact> {
    let cause = match reading {
        CodeReading::SecretNotFound => NoCode::SecretNotFound,
        CodeReading::KeyNotFound => NoCode::KeyNotFound,
        CodeReading::Invalid(InvalidCode::NotDigits) => NoCode::NotDigits,
        CodeReading::Invalid(InvalidCode::ExpiryNotATime) => NoCode::ExpiryNotATime,
        CodeReading::Usable(_) => return None,
    };
    Some(Fact::NoCode(cause))
}
