//! decide(observed, now) -> what status is to say, and what to do next. PURE.
//!
//! Called twice for everything that matters: on the cached object to find out whether anything
//! is to be done at all, and on a live one before it is done.

use std::time::Duration;

use jiff::Timestamp;

use crate::code::{Code, CodeReading, InvalidCode, Sameness, sameness};
use crate::crd::{MAX_ATTEMPTS, PhoneMigration, PhoneMigrationStatus, REQUESTED_AT, SpentCode};
use crate::fact::{Fact, HoldCause, NoCode, QueuedFor};
use crate::reads::{Purpose, Reads};
use crate::reason::{Outcome, Reason, Spent};
use crate::status::{attempt_limit, codes_spent, concluded};

/// How long a resource waits for its turn before status says so: most get one sooner, and a
/// write is saved.
pub const SHOW_QUEUED_AFTER: Duration = Duration::from_secs(1);
/// How soon to look again at an attempt with the same code by a resource that is gone.
const SAME_CODE_RECHECK: Duration = Duration::from_secs(5);

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

/// An attempt with this very code, known from this process's memory and not from this status:
/// the resource was deleted and recreated, or restored without its status.
#[derive(Clone, Debug, PartialEq)]
pub enum Elsewhere {
    /// Its outcome is not known yet.
    Open,
    /// How it ended.
    Ended(SpentCode),
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
        // Only the history says so, and what it was copied or restored from is not known: it is
        // no success until a read confirms it, and no reason to send either.
        Some(Outcome::Accepted | Outcome::Adopted) => verified(o, status, now),
        Some(_) => spent(o, status, now),
        // No number of ours: only a status that was restored in parts, or forged.
        None if codes_spent(status) >= attempt_limit(status) => spent(o, status, now),
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
    if status.id.is_some() {
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

/// At least one code was spent: only a different one goes on.
fn spent(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    let concluded_fact = || Fact::Concluded { ambiguous: false };
    if o.object.spec.suspend {
        return if shows_conclusion(status) {
            acknowledge(o, status, Next::Rest)
        } else {
            // Whatever a new code was waiting for, nothing is done about it now.
            say(concluded_fact(), Next::Rest)
        };
    }
    if let Some(read) = late_read(o, status, now) {
        return read;
    }
    let Some(reading) = o.code else {
        return quietly(Next::ReadCode);
    };
    let stay = |fact| say(fact, Next::Poll);
    let CodeReading::Usable(code) = reading else {
        return stay(
            unusable(reading).map_or_else(concluded_fact, |fact| match fact {
                // The user may delete a spent code; that is no reason to hide how it ended.
                Fact::NoCode(NoCode::SecretNotFound | NoCode::KeyNotFound) => concluded_fact(),
                other => other,
            }),
        );
    };
    let token = token_changed(o.object, status);
    let exhausted = codes_spent(status) >= attempt_limit(status);
    let told_exhausted = status.reason.as_deref() == Some(Reason::AttemptsExhausted.as_str());
    let may_raise = token && told_exhausted && codes_spent(status) < MAX_ATTEMPTS;
    let allowed = match sameness(code, status) {
        Sameness::Same => {
            let fact = if may_raise {
                Fact::LimitRaised
            } else {
                refingerprinted(code, status).unwrap_or_else(concluded_fact)
            };
            return stay(fact);
        }
        Sameness::Different => true,
        Sameness::Unknown => token || came_back_unspent(code, status),
    };
    if !allowed {
        return stay(Fact::Concluded { ambiguous: true });
    }
    if exhausted && !may_raise {
        return stay(Fact::Exhausted);
    }
    match o.owner {
        // Finished resources never become duplicates.
        Owner::Other(_) => stay(concluded_fact()),
        Owner::Us => go(o, status, code, now),
    }
}

/// True for the code of an attempt that was released: it was let through, and nothing was
/// executed. A throttle must not cost the person another retryToken.
fn came_back_unspent(code: &Code, status: &PhoneMigrationStatus) -> bool {
    status.attempt.as_ref().is_some_and(|attempt| {
        attempt.code_fingerprint.as_ref() == Some(&code.fingerprint)
            && attempt.outcome.map(Outcome::spent) == Some(Spent::Released)
    })
}

/// The Secret never moved, so the code is the spent one; its fingerprint is under an old key.
fn refingerprinted(code: &Code, status: &PhoneMigrationStatus) -> Option<Fact> {
    let attempt = status.attempt.as_ref()?;
    let stored = attempt.code_fingerprint.as_deref().unwrap_or_default();
    let same_version = attempt.secret == code.secret;
    let other_key = crate::code::key_id(stored) != crate::code::key_id(&code.fingerprint);
    (same_version && other_key).then(|| Fact::Refingerprinted(code.fingerprint.clone()))
}

/// Reads that are due after an attempt was concluded: a final unknown may still turn out to
/// have succeeded, and a refusal may hide success.
fn late_read(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Option<Decision> {
    let attempt = status.attempt.as_ref()?;
    let finished = attempt.finished_at.as_ref().map_or(now, |at| at.0);
    let (purpose, due) = match attempt.outcome? {
        Outcome::UnknownFinal => (
            Purpose::Late,
            requested(o.object, status).is_some()
                || o.reads
                    .next(Purpose::Late, finished, now)
                    .is_some_and(|at| at <= now),
        ),
        Outcome::Refused | Outcome::RequestRefused => (
            Purpose::MakeUp,
            o.reads
                .next(Purpose::MakeUp, finished, now)
                .is_some_and(|at| at <= now),
        ),
        Outcome::Accepted
        | Outcome::Adopted
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked
        | Outcome::Unknown => return None,
    };
    due.then(|| acknowledge(o, status, Next::ReadStatus(purpose)))
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

/// A code that may be submitted: queue, then claim.
fn go(o: &Observed<'_>, status: &PhoneMigrationStatus, code: &Code, now: Timestamp) -> Decision {
    if code.is_expired(now) {
        return say(Fact::NoCode(NoCode::Expired), Next::Poll);
    }
    match &o.elsewhere {
        Some(Elsewhere::Open) => {
            return say(
                Fact::Queued(QueuedFor::SameCode),
                Next::At(now + SAME_CODE_RECHECK),
            );
        }
        Some(Elsewhere::Ended(_)) => return quietly(Next::ReadStatus(Purpose::TakeOver)),
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

/// States that a spent code ends in.
fn shows_conclusion(status: &PhoneMigrationStatus) -> bool {
    status
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
        })
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
