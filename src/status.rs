//! (old status, fact, look) -> new status. PURE.
//!
//! The only place that builds a status. Everything is clamped to what the schema allows: a
//! refusal of our own outcome write would lose an outcome.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{Attempt, DEFAULT_ATTEMPT_LIMIT, PhoneMigrationStatus, SpentCode};
use crate::fact::{Claim, Fact, Told};
use crate::reason::{Outcome, Reason, Spent};

mod conditions;
mod fit;
mod tally;

use conditions::{restamp, show, shown};
use fit::fit;
pub use tally::{attempt_limit, codes_spent, concluded, last_spent};

/// The circumstances of a look at a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// metadata.generation that the fact speaks of.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
    /// spec.retryToken, if this look handles it. Recording an outcome does not: a token that
    /// changed during the attempt is handled by the first look after it.
    pub retry_token: Option<String>,
    /// The annotation requestedAt, if this look handles it.
    pub requested_at: Option<String>,
}

/// The status that says `fact`. Equal to `old` when the fact is no news, or must not be said
/// after what `old` says, so that nothing is written then.
pub fn apply(old: &PhoneMigrationStatus, fact: &Fact, look: &Look) -> PhoneMigrationStatus {
    let verified = old.reason.as_deref() == Some(Reason::Verified.as_str());
    if !may_say(old, fact, verified) {
        return old.clone();
    }
    let mut new = old.clone();
    new.observed_generation = Some(look.generation);
    // A token that is there at the first look is not a change that anybody made.
    let first = old.last_handled_retry_token.is_none();
    if let Some(token) = &look.retry_token
        && (first || verified || fact.handles_retry_token())
    {
        new.last_handled_retry_token = Some(token.clone());
    }
    if let Some(requested) = &look.requested_at {
        new.last_handled_reconcile_at = Some(requested.clone());
    }
    if new.attempt_limit.is_none() {
        new.attempt_limit = Some(DEFAULT_ATTEMPT_LIMIT);
    }
    change_fields(&mut new, fact, look.now);
    fit(&mut new);
    match shown(&new, fact) {
        Some(shown) => show(&mut new, &shown, look),
        None => restamp(&mut new, look.generation),
    }
    new
}

/// The last line of defence behind every decision: an open attempt is not forgotten, a definite
/// outcome and a verified number stay.
fn may_say(old: &PhoneMigrationStatus, fact: &Fact, verified: bool) -> bool {
    let about_another_state = fact.outcome().is_none() && *fact != Fact::Seen;
    if verified && about_another_state {
        return false;
    }
    old.attempt
        .as_ref()
        .is_none_or(|attempt| fact.may_follow(attempt.outcome))
}

/// Everything but reason and conditions.
fn change_fields(new: &mut PhoneMigrationStatus, fact: &Fact, now: Timestamp) {
    match fact {
        Fact::Seen => {}
        Fact::NoCode(_) | Fact::Duplicate { .. } | Fact::Suspended => new.next_attempt_at = None,
        Fact::Queued(_) => {
            allow_more(new);
            new.next_attempt_at = None;
        }
        Fact::Claimed(claim) => claim_fields(new, claim),
        Fact::Released {
            setback,
            told,
            next,
        } => {
            finish(new, setback.outcome(), now);
            tell(new, told);
            new.next_attempt_at = next.map(whole);
        }
        Fact::HeldBack { told, next, .. } => {
            allow_more(new);
            tell(new, told);
            new.next_attempt_at = next.map(whole);
        }
        Fact::Verified { .. } => verified_fields(new, fact, now),
        Fact::Refused { outcome, told } => {
            finish(new, *outcome, now);
            tell(new, told);
            new.next_attempt_at = None;
            remember(new);
        }
        Fact::Unknown { told, until } => {
            finish(new, Outcome::Unknown, now);
            if told.code.is_some() {
                tell(new, told);
            }
            new.next_attempt_at = Some(whole(*until));
        }
        Fact::UnknownFinal => {
            finish(new, Outcome::UnknownFinal, now);
            new.next_attempt_at = None;
            remember(new);
        }
        Fact::UnknownOverdue { .. } => {
            finish(new, Outcome::Unknown, now);
            new.next_attempt_at = None;
        }
        Fact::Concluded { .. } | Fact::Exhausted => recall(new, now),
        Fact::LimitRaised => {
            raise_limit(new);
            recall(new, now);
        }
        Fact::TookOver(entry) => take_over(new, entry, now),
        Fact::Refingerprinted(fingerprint) => refingerprint(new, fingerprint),
    }
}

fn claim_fields(new: &mut PhoneMigrationStatus, claim: &Claim) {
    allow_more(new);
    new.attempt = Some(Attempt {
        number: claim.number,
        id: claim.id.clone(),
        signed_at: whole(claim.signed_at),
        secret: claim.secret.clone(),
        code_fingerprint: Some(claim.code_fingerprint.clone()),
        generation: new.observed_generation.unwrap_or_default(),
        outcome: None,
        finished_at: None,
    });
    tell(new, &Told::default());
    new.next_attempt_at = None;
}

fn verified_fields(new: &mut PhoneMigrationStatus, fact: &Fact, now: Timestamp) {
    let Fact::Verified {
        by: _,
        id,
        phone_number,
        request_id,
    } = fact
    else {
        return;
    };
    if let Some(outcome) = fact.outcome() {
        finish(new, outcome, now);
    }
    new.id = id.clone().or(new.id.take());
    new.phone_number = phone_number.clone().or(new.phone_number.take());
    new.request_id = request_id.clone().or(new.request_id.take());
    new.error_code = None;
    new.error_message = None;
    new.next_attempt_at = None;
    new.verified_at.get_or_insert(whole(now));
}

/// Sets the outcome of the attempt, unless it has a definite one; the moment stays when the
/// outcome does. What history says of the attempt follows.
fn finish(new: &mut PhoneMigrationStatus, outcome: Outcome, now: Timestamp) {
    let Some(attempt) = &mut new.attempt else {
        return;
    };
    if attempt.outcome == Some(outcome) || !outcome.may_replace(attempt.outcome) {
        return;
    }
    attempt.outcome = Some(outcome);
    attempt.finished_at = Some(whole(now));
    for entry in &mut new.history {
        if entry.attempt_id == attempt.id {
            entry.outcome = outcome;
            entry.finished_at = whole(now);
        }
    }
}

fn tell(new: &mut PhoneMigrationStatus, told: &Told) {
    new.error_code = told.code.clone();
    new.error_message = told.message.clone();
    new.request_id = told.request_id.clone();
}

/// Back to what the last spent code led to: an error that was told since is not why.
fn recall(new: &mut PhoneMigrationStatus, now: Timestamp) {
    new.next_attempt_at = None;
    if concluded(new).map(Outcome::spent) == Some(Spent::Verified) {
        return verified_before(new, now);
    }
    let Some(last) = new.history.first() else {
        return;
    };
    if new.error_code != last.error_code {
        new.error_code = last.error_code.clone();
        new.error_message = None;
    }
    new.request_id = last.request_id.clone();
}

/// Puts the finished attempt on top of the history.
fn remember(new: &mut PhoneMigrationStatus) {
    let Some(attempt) = &new.attempt else { return };
    let (Some(outcome), Some(finished_at)) = (attempt.outcome, attempt.finished_at.clone()) else {
        return;
    };
    let entry = SpentCode {
        number: attempt.number,
        attempt_id: attempt.id.clone(),
        code_fingerprint: attempt.code_fingerprint.clone(),
        outcome,
        error_code: new.error_code.clone(),
        request_id: new.request_id.clone(),
        finished_at,
    };
    put_on_top(new, entry);
}

fn put_on_top(new: &mut PhoneMigrationStatus, entry: SpentCode) {
    new.history.retain(|e| e.attempt_id != entry.attempt_id);
    new.history.insert(0, entry);
}

/// A way on out of `AttemptsExhausted` exists only where a person allowed more.
fn allow_more(new: &mut PhoneMigrationStatus) {
    if new.reason.as_deref() == Some(Reason::AttemptsExhausted.as_str()) {
        raise_limit(new);
    }
}

fn raise_limit(new: &mut PhoneMigrationStatus) {
    new.attempt_limit = Some(codes_spent(new).saturating_add(DEFAULT_ATTEMPT_LIMIT));
}

fn take_over(new: &mut PhoneMigrationStatus, entry: &SpentCode, now: Timestamp) {
    let number = codes_spent(new).saturating_add(1);
    new.error_code = entry.error_code.clone();
    new.error_message = None;
    new.request_id = entry.request_id.clone();
    new.next_attempt_at = None;
    if entry.outcome.spent() == Spent::Verified {
        verified_before(new, now);
    }
    put_on_top(
        new,
        SpentCode {
            number,
            ..entry.clone()
        },
    );
}

/// The attempt that verified the number is known, but status does not say so.
fn verified_before(new: &mut PhoneMigrationStatus, now: Timestamp) {
    new.error_code = None;
    new.error_message = None;
    new.verified_at.get_or_insert(whole(now));
}

fn refingerprint(new: &mut PhoneMigrationStatus, fingerprint: &str) {
    let Some(attempt) = &mut new.attempt else {
        return;
    };
    attempt.code_fingerprint = Some(fingerprint.to_owned());
    for entry in &mut new.history {
        if entry.attempt_id == attempt.id {
            entry.code_fingerprint = Some(fingerprint.to_owned());
        }
    }
}

/// The API server keeps whole seconds; anything finer would differ from what it returns.
fn whole(at: Timestamp) -> Time {
    Time(
        Timestamp::from_second(at.as_second())
            .or_else(|_| at.round(Unit::Second))
            .unwrap_or(at),
    )
}
