//! decide(observed, now) -> the fact for status, and the next step. PURE.
//!
//! The decision table of the protocol: the first row that matches decides. The reconciler uses it
//! on the cached object and ledger index, to find out whether there is work to do, and on live
//! reads of the object, its Secret and the ledger before a claim.

use jiff::Timestamp;

use crate::api::code_ledger::LedgerEntry;
use crate::api::crd::{
    DEFAULT_ATTEMPT_LIMIT, MAX_ATTEMPTS, PhoneMigration, PhoneMigrationStatus, REQUESTED_AT,
};
use crate::api::reason::{CodeUse, Outcome, Reason};
use crate::domain::code::{CodeReading, InvalidCode};
use crate::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReplyDetails,
    SpentBy, State, VerifiedBy,
};
use crate::domain::ledger::{Ledger, ledger_name};
use crate::domain::reads::{Purpose, Reads, decisive_read};

mod queue;
mod restored;
mod status_reads;
mod used;

use queue::queue;
pub use queue::{SHOW_QUEUED_AFTER, explains_hold};
pub use restored::is_restored;
use restored::{restored, restored_blind};
use status_reads::{late_read, missing_id, read_if_asked};
use used::{CodeMatch, match_code};

/// The turn of this resource in the account's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnState {
    /// Not in the queue.
    None,
    /// In the queue for this long.
    Waiting(std::time::Duration),
    /// Granted: this reconcile may claim.
    Granted,
}

/// Another watched resource of the same number, as the cache shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// metadata.uid.
    pub uid: String,
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
    /// Codes that its status shows as spent, or as possibly spent.
    pub codes: Vec<ShownCode>,
}

/// A code that a status shows as spent, or as possibly spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCode {
    /// The attempt.
    pub attempt_id: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// Everything that a decision depends on, except the time.
pub struct Observed<'a> {
    /// The resource; before a claim, from a live GET.
    pub object: &'a PhoneMigration,
    /// The known codes of the number; before a claim, from a live GET.
    pub ledger: &'a Ledger,
    /// The other watched resources of the number.
    pub neighbours: &'a [Neighbour],
    /// A task of this process, an attempt or a read, runs for the number.
    pub task_runs: bool,
    /// The open entry is a claim of this process whose request certainly never left.
    pub abandoned: bool,
    /// Why the open entry has not ended, although its end is past.
    pub overdue: Option<&'a str>,
    /// The reading of the Secret, if there was one.
    pub code: Option<&'a CodeReading>,
    /// Its turn in the queue.
    pub turn: TurnState,
    /// Cause of the account's hold, if any.
    pub hold: Option<HoldCause>,
    /// Since when the account is held, or since when the resource shows a hold, if that is longer.
    pub held_since: Option<Timestamp>,
    /// The resource waits in a braked pair, which sends one code at a time.
    pub braked: bool,
    /// The status reads made so far about the resource's newest entry.
    pub reads: &'a Reads,
    /// A user asked for a reconcile by requestedAt or retryToken, and its status read is still to
    /// be made.
    pub asked: bool,
}

/// The step after the fact, if any, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something changes.
    Rest,
    /// Reconcile again at this time.
    At(Timestamp),
    /// Reconcile again by the polling rules of the Secret.
    Poll,
    /// Read the Secret now, and decide again.
    ReadCode,
    /// Ask for a turn, with the expiry of the code: earlier ones go first.
    Enqueue(Option<Timestamp>),
    /// Stay in the queue, and reconcile again at this time.
    Stay(Option<Timestamp>),
    /// Sign, claim and send.
    Claim,
    /// Read the number's verification status now.
    ReadStatus(Purpose),
    /// Store the entries that the stored ledger lacks.
    StoreImport,
    /// Record that the open entry was never sent.
    SettleUnsent,
    /// Observe the open entry; `now`: with one read at once.
    Observe { now: bool },
    /// Read the number's ledger again, after a back-off.
    RereadLedger,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The fact for status, if status does not show it yet.
    pub fact: Option<Fact>,
    /// The step after it.
    pub next: Next,
    /// Permission that spec.retryToken gives here.
    pub permit: Permit,
}

/// Permission that a changed spec.retryToken gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// New limit of codes that may be spent.
    pub raise_to: Option<i32>,
    /// A code may go on although the operator cannot tell whether it was spent.
    pub unknown_passes: bool,
}

impl Decision {
    fn say(fact: impl Into<Fact>, next: Next) -> Self {
        Self {
            fact: Some(fact.into()),
            next,
            permit: Permit::default(),
        }
    }

    fn silent(next: Next) -> Self {
        Self {
            fact: None,
            next,
            permit: Permit::default(),
        }
    }

    fn with(self, permit: Permit) -> Self {
        Self { permit, ..self }
    }
}

impl<'a> Observed<'a> {
    fn uid(&self) -> &'a str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    fn conclusion(&self, entry: &LedgerEntry) -> Conclusion {
        let status = self.object.status.as_ref();
        let limit = status.map_or(DEFAULT_ATTEMPT_LIMIT, |status| status.attempt_limit());
        conclusion(self.object, self.ledger, entry, limit)
    }
}

/// Returns the decision of the first row that matches.
pub fn decide(o: &Observed<'_>, now: Timestamp) -> Decision {
    let none = PhoneMigrationStatus::default();
    let status = o.object.status.as_ref().unwrap_or(&none);
    if o.object.metadata.deletion_timestamp.is_some() {
        return Decision::silent(Next::Rest);
    }
    let says_verified = status.reason() == Some(Reason::Verified);
    if says_verified && status.id.is_some() {
        return acknowledge(o, status, Next::Rest);
    }
    if let Some(why) = o.ledger.unusable {
        let ledger = ledger_name(&o.object.spec.phone_number);
        let next = match o.asked {
            true => Next::ReadStatus(Purpose::Asked),
            false => Next::RereadLedger,
        };
        return Decision::say(State::LedgerUnreadable { why, ledger }, next);
    }
    let own_verified = o.ledger.own_verified(o.uid());
    if let Some(entry) = own_verified {
        // Danger: an entry that only a status shows can be forged. It is not a success until a read
        // confirms it, nor after a read denies it.
        if !entry.imported || (says_verified && !o.reads.denied) {
            return verified(o, status, entry, now);
        }
        if !o.reads.denied {
            return unconfirmed(o, status, now);
        }
    }
    if says_verified && o.reads.denied {
        return Decision::say(CamsResult::Disproved, Next::At(now));
    }
    if let Some(entry) = o.ledger.open() {
        return open(o, entry);
    }
    if says_verified {
        return unconfirmed(o, status, now);
    }
    let own_spent = o.ledger.own_spent(o.uid()).or(own_verified);
    let (read, later) = late_read(status, o.reads, own_spent, now);
    if let Some(purpose) = read {
        // Danger: acknowledge nothing before the Secret is read. Otherwise a user would take
        // `Finished` for the end of the new code.
        return Decision::silent(Next::ReadStatus(purpose));
    }
    if o.object.spec.suspend {
        return read_if_asked(o, suspended(o, status, later));
    }
    match o.code {
        None => Decision::silent(Next::ReadCode),
        Some(reading) => read_if_asked(o, with_code(o, status, reading, own_spent, now)),
    }
}

/// True when spec.retryToken differs from the last one handled.
pub fn token_changed(object: &PhoneMigration, status: &PhoneMigrationStatus) -> bool {
    let handled = status.last_handled_retry_token.as_deref();
    // A user who creates or restores a resource with a token has not changed the token.
    handled.is_some_and(|handled| object.spec.retry_token != handled)
}

/// True when a changed spec.retryToken may permit something. A value that already did, and came
/// back by a revert in Git for example, may not.
fn token_permits(object: &PhoneMigration, status: &PhoneMigrationStatus) -> bool {
    let digest = crate::domain::code::token_digest(&object.spec.retry_token);
    token_changed(object, status) && !status.handled_retry_tokens.contains(&digest)
}

/// The annotation requestedAt, cut to the length that status can show.
pub fn annotated(object: &PhoneMigration) -> Option<String> {
    let annotation = object.metadata.annotations.as_ref()?.get(REQUESTED_AT)?;
    let shown = annotation.chars().take(crate::api::crd::MAX_IDENTIFIER);
    Some(shown.collect())
}

/// The annotation requestedAt, if it differs from the last one handled.
pub fn requested(object: &PhoneMigration, status: &PhoneMigrationStatus) -> Option<String> {
    let value = annotated(object)?;
    (status.last_handled_reconcile_at.as_ref() != Some(&value)).then_some(value)
}

/// True if the operator does nothing for this resource until the resource changes: it is verified,
/// its Id is known, and status acknowledges its generation and requestedAt.
pub fn needs_nothing(object: &PhoneMigration) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.reason() == Some(Reason::Verified)
            && status.id.is_some()
            && status.observed_generation == object.metadata.generation
            && requested(object, status).is_none()
    })
}

/// Acknowledges the generation and requestedAt in status. If status has no state yet, the first
/// state acknowledges the generation.
fn acknowledge(o: &Observed<'_>, status: &PhoneMigrationStatus, next: Next) -> Decision {
    let unseen = status.observed_generation != o.object.metadata.generation;
    let stale = unseen && status.reason.is_some();
    if stale || requested(o.object, status).is_some() {
        Decision::say(Fact::Unchanged, next)
    } else {
        Decision::silent(next)
    }
}

/// A code of this resource verified the number.
fn verified(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    entry: &LedgerEntry,
    now: Timestamp,
) -> Decision {
    let by = match entry.outcome == Some(Outcome::Adopted) {
        true => VerifiedBy::ReadAfter,
        false => VerifiedBy::Call,
    };
    let has_id = entry.id.is_some() || status.id.is_some();
    let next = if has_id {
        Next::Rest
    } else {
        missing_id(o, status, now)
    };
    if status.reason() == Some(Reason::Verified) && (status.id.is_some() || entry.id.is_none()) {
        return acknowledge(o, status, next);
    }
    let fact = Fact::Result(CamsResult::Verified {
        by,
        id: entry.id.clone(),
        phone_number: None,
        request_id: entry.request_id.clone(),
    });
    Decision::say(fact, next)
}

/// Only a status says that the number is verified: a read must confirm it.
fn unconfirmed(o: &Observed<'_>, status: &PhoneMigrationStatus, now: Timestamp) -> Decision {
    acknowledge(o, status, missing_id(o, status, now))
}

/// An entry of the number is open: the operator sends nothing, even if another resource made it.
fn open(o: &Observed<'_>, entry: &LedgerEntry) -> Decision {
    let until = decisive_read(entry.final_at.0);
    if o.task_runs {
        // The task triggers the number's resources when it ends. Meanwhile the others show why they
        // wait.
        return match entry.migration.uid == o.uid() {
            true => Decision::silent(Next::Rest),
            false => Decision::say(State::Queued(QueuedFor::OpenAttempt { until }), Next::Rest),
        };
    }
    if o.ledger.unstored.contains(&entry.attempt_id) {
        return Decision::silent(Next::StoreImport);
    }
    if o.abandoned {
        return Decision::silent(Next::SettleUnsent);
    }
    let next = Next::Observe { now: o.asked };
    if entry.migration.uid != o.uid() {
        return Decision::say(State::Queued(QueuedFor::OpenAttempt { until }), next);
    }
    let fact = match o.overdue {
        Some(error) => Fact::Result(CamsResult::UnknownOverdue {
            read_error: error.to_owned(),
        }),
        None => Fact::Result(CamsResult::Unknown {
            reply: reply(entry),
            until,
        }),
    };
    Decision::say(fact, next)
}

fn reply(entry: &LedgerEntry) -> ReplyDetails {
    ReplyDetails {
        code: entry.error_code.clone(),
        message: entry.error_message.clone(),
        request_id: entry.request_id.clone(),
    }
}

/// A finished state stays as it is. Any other state could lead to a claim, so a suspended resource
/// shows `Suspended` instead.
fn suspended(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    next_read: Option<Timestamp>,
) -> Decision {
    let next = next_read.map_or(Next::Rest, Next::At);
    if status.reason().is_some_and(Reason::is_finished_unverified) {
        acknowledge(o, status, next)
    } else {
        Decision::say(State::Suspended, next)
    }
}

/// How the code of this entry ended, as `object` shows it; `limit`: how many codes may be spent.
pub fn conclusion(
    object: &PhoneMigration,
    ledger: &Ledger,
    entry: &LedgerEntry,
    limit: i32,
) -> Conclusion {
    let ours = object.metadata.uid.as_ref() == Some(&entry.migration.uid);
    Conclusion {
        outcome: entry.outcome.unwrap_or(Outcome::Unknown),
        reply: reply(entry),
        by: match ours {
            true => SpentBy::Us,
            false => SpentBy::Other(entry.signed_at.0),
        },
        ambiguous: false,
        exhausted: exhausted(object, ledger, limit),
    }
}

/// Set if no further code may be spent.
fn exhausted(object: &PhoneMigration, ledger: &Ledger, limit: i32) -> Option<Exhausted> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let spent = i32::try_from(ledger.spent_in(namespace)).unwrap_or(i32::MAX);
    if spent >= limit {
        let others = i32::try_from(ledger.submitted_elsewhere(namespace)).unwrap_or(i32::MAX);
        return Some(Exhausted::Limit {
            spent,
            limit,
            others,
        });
    }
    ledger.is_full().then(|| Exhausted::Number {
        ledger: ledger_name(&object.spec.phone_number),
    })
}

fn with_code(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    reading: &CodeReading,
    own_spent: Option<&LedgerEntry>,
    now: Timestamp,
) -> Decision {
    let CodeReading::Usable(code) = reading else {
        return unusable(o, status, reading, own_spent);
    };
    match match_code(o, code) {
        // Danger: no token, no end of a suspension and no raised limit may let a spent code
        // through.
        CodeMatch::Spent(entry) => stay(o, status, CamsResult::Spent(o.conclusion(entry))),
        CodeMatch::VerifiedByOther if o.reads.done == 0 => {
            Decision::silent(Next::ReadStatus(Purpose::OtherVerified))
        }
        CodeMatch::VerifiedByOther | CodeMatch::ShownElsewhere => {
            stay(o, status, State::UsedElsewhere)
        }
        CodeMatch::Unknown if token_permits(o.object, status) => {
            let decision = different(o, status, code, now);
            let permit = Permit {
                unknown_passes: true,
                ..decision.permit
            };
            decision.with(permit)
        }
        CodeMatch::Unknown => stay(o, status, ambiguous(o, own_spent)),
        CodeMatch::Different if restored_blind(o, status) => restored(o, status, code, now),
        CodeMatch::Different => different(o, status, code, now),
    }
}

/// The fact stays until the Secret changes; meanwhile a user may have raised the limit.
fn stay(o: &Observed<'_>, status: &PhoneMigrationStatus, fact: impl Into<Fact>) -> Decision {
    let Some(raise_to) = raised(o, status) else {
        return Decision::say(fact, Next::Poll);
    };
    // The raised limit ends the exhaustion.
    let mut fact = fact.into();
    if let Fact::Result(CamsResult::Spent(conclusion)) = &mut fact {
        conclusion.exhausted = None;
    }
    Decision::say(fact, Next::Poll).with(Permit {
        raise_to: Some(raise_to),
        ..Permit::default()
    })
}

/// The new limit, if status shows AttemptsExhausted and a user then changed the token.
fn raised(o: &Observed<'_>, status: &PhoneMigrationStatus) -> Option<i32> {
    let was_exhausted = status.reason() == Some(Reason::AttemptsExhausted);
    match exhausted(o.object, o.ledger, status.attempt_limit()) {
        Some(Exhausted::Limit { spent, limit, .. })
            if was_exhausted && limit < MAX_ATTEMPTS && token_permits(o.object, status) =>
        {
            let more = spent.saturating_add(DEFAULT_ATTEMPT_LIMIT);
            Some(more.min(MAX_ATTEMPTS))
        }
        Some(Exhausted::Limit { .. } | Exhausted::Number { .. }) | None => None,
    }
}

fn unusable(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    reading: &CodeReading,
    own_spent: Option<&LedgerEntry>,
) -> Decision {
    let cause = match reading {
        CodeReading::SecretNotFound => NoCode::SecretNotFound,
        CodeReading::KeyNotFound => NoCode::KeyNotFound,
        CodeReading::SecretForbidden => NoCode::SecretForbidden,
        CodeReading::Invalid(InvalidCode::NotDigits(wanted)) => NoCode::NotDigits(*wanted),
        CodeReading::Invalid(InvalidCode::ExpiryNotATime) => NoCode::ExpiryNotATime,
        CodeReading::Usable(_) => return Decision::silent(Next::Poll),
    };
    let missing = matches!(cause, NoCode::SecretNotFound | NoCode::KeyNotFound);
    match own_spent {
        // If the user deletes a spent code, status still shows how it ended. But a Secret that the
        // operator may not read can hold a new code, so status must not ask for one.
        Some(entry) if missing => stay(o, status, CamsResult::Spent(o.conclusion(entry))),
        Some(_) | None => stay(o, status, State::NoCode(cause)),
    }
}

/// The operator cannot tell whether the code was spent: entries have another fingerprint key.
fn ambiguous(o: &Observed<'_>, own_spent: Option<&LedgerEntry>) -> Fact {
    match own_spent {
        Some(entry) => Fact::Result(CamsResult::Spent(Conclusion {
            ambiguous: true,
            ..o.conclusion(entry)
        })),
        None => Fact::State(State::CodeUnknown(Because::OtherKey)),
    }
}

/// A code that was not spent.
fn different(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    code: &crate::domain::code::Code,
    now: Timestamp,
) -> Decision {
    if let Some(fact) = duplicate(o.object, o.ledger, o.neighbours) {
        return stay(o, status, fact);
    }
    let raise_to = raised(o, status);
    match exhausted(o.object, o.ledger, status.attempt_limit()) {
        Some(exhausted) if raise_to.is_none() => {
            Decision::say(State::Exhausted(exhausted), Next::Poll)
        }
        Some(_) if code.is_expired(now) => stay(o, status, State::NoCode(NoCode::Expired)),
        // Write this fact before asking for the turn: the write handles the token.
        Some(_) => Decision::say(
            State::Queued(QueuedFor::Turn),
            Next::Enqueue(code.expires_at),
        )
        .with(Permit {
            raise_to,
            ..Permit::default()
        }),
        None => queue(o, status, code, now),
    }
}

/// Set if the code of another resource, which still exists, verified the number. Danger: an
/// imported entry only repeats a status, so it must not block a resource in another namespace.
pub fn duplicate(
    object: &PhoneMigration,
    ledger: &Ledger,
    neighbours: &[Neighbour],
) -> Option<Fact> {
    let (uid, namespace) = (&object.metadata.uid, &object.metadata.namespace);
    let is_ours = |its: &str| namespace.as_deref() == Some(its);
    let mut verified = ledger.entries.iter().filter(|entry| {
        entry.code_use() == CodeUse::Verified
            && uid.as_ref() != Some(&entry.migration.uid)
            && (!entry.imported || is_ours(&entry.migration.namespace))
    });
    let neighbour_of = |uid: &str| neighbours.iter().find(|n| n.uid == uid);
    let other = verified.find_map(|entry| neighbour_of(&entry.migration.uid))?;
    Some(Fact::State(State::Duplicate {
        other: is_ours(&other.namespace).then(|| other.name.clone()),
    }))
}
