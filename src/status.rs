//! (old status, fact, look) -> new status. PURE.
//!
//! The only place that builds a status. Everything is clamped to what the schema allows: a
//! refusal of our own outcome write would lose an outcome.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::crd::{
    Attempt, DEFAULT_ATTEMPT_LIMIT, MAX_ATTEMPTS, MAX_IDENTIFIER, MAX_MESSAGE,
    PhoneMigrationStatus, SpentCode, condition,
};
use crate::fact::{Claim, Fact, NoCode, Setback, Told};
use crate::message;
use crate::reason::{Kstatus, Outcome, Reason, Spent};

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

/// How a state is shown: reason, kstatus class, whether it is finished, message.
struct Shown {
    reason: Reason,
    kstatus: Kstatus,
    finished: bool,
    message: String,
}

/// The status that says `fact`. Equal to `old` when the fact is no news, so that nothing needs
/// to be written.
pub fn apply(old: &PhoneMigrationStatus, fact: &Fact, look: &Look) -> PhoneMigrationStatus {
    let mut new = old.clone();
    new.observed_generation = Some(look.generation);
    if let Some(token) = &look.retry_token
        && !(postpones(old, fact) && old.last_handled_retry_token.is_some())
    {
        new.last_handled_retry_token = Some(clamp(token, MAX_IDENTIFIER));
    }
    if let Some(requested) = &look.requested_at {
        new.last_handled_reconcile_at = Some(clamp(requested, MAX_IDENTIFIER));
    }
    if new.attempt_limit.is_none() {
        new.attempt_limit = Some(DEFAULT_ATTEMPT_LIMIT);
    }
    change_fields(&mut new, fact, look.now);
    match shown(&new, fact) {
        Some(shown) => show(&mut new, &shown, look),
        None => restamp(&mut new, look.generation),
    }
    new
}

/// True for a fact that leaves for later what a changed retryToken asks for: the token is
/// handled by the look that ends the wait, or a long queue would swallow a person's word.
fn postpones(old: &PhoneMigrationStatus, fact: &Fact) -> bool {
    match fact {
        Fact::Queued(_) | Fact::HeldBack { .. } => true,
        Fact::Seen => old.verified_at.is_none(),
        Fact::NoCode(_)
        | Fact::Duplicate { .. }
        | Fact::Suspended
        | Fact::Claimed(_)
        | Fact::Released { .. }
        | Fact::Verified { .. }
        | Fact::Refused { .. }
        | Fact::Unknown { .. }
        | Fact::UnknownFinal
        | Fact::UnknownOverdue { .. }
        | Fact::Concluded { .. }
        | Fact::Exhausted
        | Fact::LimitRaised
        | Fact::TookOver(_)
        | Fact::Refingerprinted(_) => false,
    }
}

/// Everything but reason and conditions.
fn change_fields(new: &mut PhoneMigrationStatus, fact: &Fact, now: Timestamp) {
    let leaves = matches!(
        fact,
        Fact::Queued(_) | Fact::HeldBack { .. } | Fact::Claimed(_)
    );
    if leaves && new.reason.as_deref() == Some(Reason::AttemptsExhausted.as_str()) {
        raise_limit(new);
    }
    match fact {
        Fact::Seen => {}
        Fact::NoCode(_) | Fact::Queued(_) | Fact::Duplicate { .. } | Fact::Suspended => {
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
        Fact::Concluded { .. } | Fact::Exhausted => {
            new.next_attempt_at = None;
            tell_conclusion(new);
        }
        Fact::LimitRaised => {
            raise_limit(new);
            tell_conclusion(new);
        }
        Fact::TookOver(entry) => take_over(new, entry, now),
        Fact::Refingerprinted(fingerprint) => refingerprint(new, fingerprint),
    }
}

fn claim_fields(new: &mut PhoneMigrationStatus, claim: &Claim) {
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
    let outcome = match fact {
        Fact::Verified {
            by: crate::fact::VerifiedBy::Call,
            ..
        } => Outcome::Accepted,
        _ => Outcome::Adopted,
    };
    // A definite outcome is never replaced: only an open or unknown attempt learns of success.
    match new.attempt.as_ref().and_then(|attempt| attempt.outcome) {
        None | Some(Outcome::Unknown | Outcome::UnknownFinal) => finish(new, outcome, now),
        Some(_) => {}
    }
    new.id = id
        .as_deref()
        .map(|id| clamp(id, MAX_IDENTIFIER))
        .or(new.id.take());
    new.phone_number = phone_number
        .as_deref()
        .map(|n| clamp(n, 64))
        .or(new.phone_number.take());
    new.request_id = request_id
        .as_deref()
        .map(|r| clamp(r, MAX_IDENTIFIER))
        .or(new.request_id.take());
    new.error_code = None;
    new.error_message = None;
    new.next_attempt_at = None;
    new.verified_at.get_or_insert(whole(now));
}

/// Sets the outcome of the attempt; the moment stays when the outcome does.
fn finish(new: &mut PhoneMigrationStatus, outcome: Outcome, now: Timestamp) {
    if let Some(attempt) = &mut new.attempt
        && attempt.outcome != Some(outcome)
    {
        attempt.outcome = Some(outcome);
        attempt.finished_at = Some(whole(now));
    }
}

fn tell(new: &mut PhoneMigrationStatus, told: &Told) {
    let clamped = |text: &Option<String>, max| text.as_deref().map(|t| clamp(t, max));
    new.error_code = clamped(&told.code, MAX_IDENTIFIER);
    new.error_message = clamped(&told.message, MAX_MESSAGE);
    new.request_id = clamped(&told.request_id, MAX_IDENTIFIER);
}

/// After an attempt that was released, the last answer is not the one that the state is about.
fn tell_conclusion(new: &mut PhoneMigrationStatus) {
    let outcome = new.attempt.as_ref().and_then(|attempt| attempt.outcome);
    let released = outcome.map(Outcome::spent) == Some(Spent::Released);
    if let (true, Some(entry)) = (released, new.history.first()) {
        let told = Told {
            code: entry.error_code.clone(),
            message: None,
            request_id: entry.request_id.clone(),
        };
        tell(new, &told);
    }
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
    new.history
        .truncate(usize::try_from(MAX_ATTEMPTS).unwrap_or(20));
}

fn raise_limit(new: &mut PhoneMigrationStatus) {
    let spent = codes_spent(new);
    new.attempt_limit = Some((spent + DEFAULT_ATTEMPT_LIMIT).min(MAX_ATTEMPTS));
}

fn take_over(new: &mut PhoneMigrationStatus, entry: &SpentCode, now: Timestamp) {
    if entry.outcome.spent() == Spent::Verified {
        new.verified_at.get_or_insert(whole(now));
    }
    let number = codes_spent(new) + 1;
    new.error_code = entry.error_code.clone();
    new.error_message = None;
    new.request_id = entry.request_id.clone();
    new.next_attempt_at = None;
    put_on_top(
        new,
        SpentCode {
            number,
            ..entry.clone()
        },
    );
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

/// How many codes this number has used up; released attempts count as none.
pub fn codes_spent(status: &PhoneMigrationStatus) -> i32 {
    let last = status.attempt.as_ref().map_or(0, |attempt| {
        match attempt.outcome.map_or(Spent::Open, Outcome::spent) {
            Spent::Released => attempt.number - 1,
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

/// The state that a spent code led to, newest first; `None` if none was spent.
pub fn concluded(status: &PhoneMigrationStatus) -> Option<Outcome> {
    let of_attempt = status.attempt.as_ref().and_then(|attempt| {
        let outcome = attempt.outcome?;
        (outcome.spent() == Spent::Spent).then_some((attempt.number, outcome))
    });
    let of_history = status.history.first().map(|e| (e.number, e.outcome));
    of_attempt
        .into_iter()
        .chain(of_history)
        .max_by_key(|(number, _)| *number)
        .map(|(_, outcome)| outcome)
}

fn shown(new: &PhoneMigrationStatus, fact: &Fact) -> Option<Shown> {
    let shown = |reason, kstatus, finished| {
        Some(Shown {
            reason,
            kstatus,
            finished,
            message: message::text(new, fact),
        })
    };
    let in_progress = |reason| shown(reason, Kstatus::InProgress, false);
    let stalled = |reason, finished| shown(reason, Kstatus::Failed, finished);
    match fact {
        Fact::Seen | Fact::Refingerprinted(_) => None,
        Fact::NoCode(NoCode::SecretNotFound) => in_progress(Reason::SecretNotFound),
        Fact::NoCode(NoCode::KeyNotFound) => in_progress(Reason::KeyNotFound),
        Fact::NoCode(NoCode::NotDigits | NoCode::ExpiryNotATime) => {
            stalled(Reason::InvalidCode, false)
        }
        Fact::NoCode(NoCode::Expired) => stalled(Reason::CodeExpired, false),
        Fact::Queued(_) => in_progress(Reason::Queued),
        Fact::Duplicate { .. } => stalled(Reason::DuplicatePhoneNumber, false),
        Fact::Suspended => shown(Reason::Suspended, Kstatus::Paused, false),
        Fact::Claimed(_) => in_progress(Reason::Verifying),
        Fact::Released { setback, .. } | Fact::HeldBack { setback, .. } => match setback {
            Setback::Throttled | Setback::NotSent => in_progress(setback.reason()),
            Setback::Credentials | Setback::Account | Setback::Clock => {
                stalled(setback.reason(), false)
            }
        },
        Fact::Verified { .. } => shown(Reason::Verified, Kstatus::Current, true),
        Fact::Unknown { .. } => in_progress(Reason::OutcomeUnknown),
        Fact::UnknownFinal => stalled(Reason::OutcomeUnknown, true),
        Fact::UnknownOverdue { .. } => stalled(Reason::OutcomeUnknown, false),
        Fact::Exhausted => stalled(Reason::AttemptsExhausted, true),
        Fact::Refused { .. } | Fact::Concluded { .. } | Fact::LimitRaised | Fact::TookOver(_) => {
            concluded(new).and_then(|outcome| {
                let reason = conclusion(new, outcome);
                match reason {
                    Reason::Verified => shown(reason, Kstatus::Current, true),
                    _ => stalled(reason, true),
                }
            })
        }
    }
}

/// The reason that a concluded attempt shows.
fn conclusion(status: &PhoneMigrationStatus, outcome: Outcome) -> Reason {
    let exhausted = codes_spent(status) >= attempt_limit(status);
    match outcome {
        Outcome::Refused | Outcome::RequestRefused if exhausted => Reason::AttemptsExhausted,
        Outcome::Refused => Reason::CodeRejected,
        Outcome::RequestRefused => Reason::RequestRejected,
        Outcome::Accepted | Outcome::Adopted => Reason::Verified,
        Outcome::UnknownFinal
        | Outcome::Unknown
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked => Reason::OutcomeUnknown,
    }
}

fn show(new: &mut PhoneMigrationStatus, shown: &Shown, look: &Look) {
    new.reason = Some(shown.reason.as_str().to_owned());
    let (ready, reconciling, stalled) = match shown.kstatus {
        Kstatus::Current => (true, false, false),
        Kstatus::InProgress => (false, true, false),
        Kstatus::Failed => (false, false, true),
        Kstatus::Paused => (false, false, false),
    };
    let message = clamp(&shown.message, MAX_MESSAGE);
    let conditions = [
        (condition::READY, ready),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
        (condition::FINISHED, shown.finished),
    ]
    .map(|(type_, holds)| {
        let status = if holds { "True" } else { "False" }.to_owned();
        let since = new
            .conditions
            .iter()
            .find(|old| old.type_ == type_ && old.status == status)
            .map_or_else(|| whole(look.now), |old| old.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status,
            reason: shown.reason.as_str().to_owned(),
            message: message.clone(),
            observed_generation: Some(look.generation),
            last_transition_time: since,
        }
    });
    new.conditions = conditions.into();
}

fn restamp(new: &mut PhoneMigrationStatus, generation: i64) {
    for condition in &mut new.conditions {
        condition.observed_generation = Some(generation);
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

/// At most `max` characters.
fn clamp(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}
