//! (old status, fact, ledger) -> new status. PURE.
//!
//! The only place that builds a status. Its attempts are a view of the number's ledger; the fact
//! gives state, message and the rest. Everything is cut to the schema's bounds: if the API server
//! refused the write, the outcome would stay hidden.

use jiff::Timestamp;

use crate::api::crd::{DEFAULT_ATTEMPT_LIMIT, PhoneMigration, PhoneMigrationStatus};
use crate::api::reason::Reason;
use crate::api::status_view::masked;
use crate::domain::code::token_digest;
use crate::domain::decide::{Permit, is_restored, requested};
use crate::domain::fact::{CamsResult, Fact, QueuedFor, ReplyDetails, State};
use crate::domain::ledger::{Ledger, shown, whole_seconds};

mod conditions;
mod fit;
pub mod present;

use conditions::{restamp, show};
use fit::fit;

/// Most handled tokens that status keeps.
const MOST_TOKENS: usize = 20;

/// Generation, time and acknowledgements of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// metadata.generation that the fact is about.
    pub generation: i64,
    /// Time of the write.
    pub now: Timestamp,
    /// The requests of a user that this write acknowledges.
    pub request: UserRequest,
    /// True for a reconcile, which handles a changed retryToken. False for the outcome of an
    /// attempt: it handles only the token that permitted the attempt, and the next reconcile
    /// handles one that changed meanwhile.
    pub is_reconcile: bool,
}

/// The requests of a user that a reconcile observed, and what it permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRequest {
    /// spec.retryToken.
    pub retry_token: String,
    /// The annotation requestedAt, if it was not handled yet.
    pub requested_at: Option<String>,
    /// Permission that a changed spec.retryToken gave.
    pub permit: Permit,
}

impl UserRequest {
    /// The requests that `object` carries.
    pub fn of(object: &PhoneMigration, permit: Permit) -> Self {
        let status = object.status.clone().unwrap_or_default();
        Self {
            retry_token: object.spec.retry_token.clone(),
            requested_at: requested(object, &status),
            permit,
        }
    }
}

impl Stamp {
    /// For a reconcile of `object`, which handles its annotation and its retryToken.
    pub fn of_reconcile(object: &PhoneMigration, permit: Permit, now: Timestamp) -> Self {
        Self {
            generation: object.metadata.generation.unwrap_or_default(),
            now,
            request: UserRequest::of(object, permit),
            is_reconcile: true,
        }
    }

    /// For the outcome of an attempt that was made for this generation.
    pub fn of_attempt(generation: i64, request: UserRequest, now: Timestamp) -> Self {
        Self {
            generation,
            now,
            request,
            is_reconcile: false,
        }
    }
}

/// The status of `object` that shows `fact`; `None` if it already does, or must not.
pub fn apply(
    object: &PhoneMigration,
    fact: &Fact,
    ledger: &Ledger,
    stamp: &Stamp,
) -> Option<PhoneMigrationStatus> {
    let old = object.status.clone().unwrap_or_default();
    let new = changed(&old, object, fact, ledger, stamp);
    (new != old).then_some(new)
}

fn changed(
    old: &PhoneMigrationStatus,
    object: &PhoneMigration,
    fact: &Fact,
    ledger: &Ledger,
    stamp: &Stamp,
) -> PhoneMigrationStatus {
    let verified = old.reason() == Some(Reason::Verified);
    let confirms = matches!(
        fact,
        Fact::Unchanged | Fact::Result(CamsResult::Verified { .. })
    );
    let disproves = *fact == Fact::Result(CamsResult::Disproved) && old.id.is_none();
    // The last check behind every decision: a verified number stays verified.
    if verified && !confirms && !disproves {
        return old.clone();
    }
    let mut new = old.clone();
    // Danger: kstatus takes a status that only acknowledges the generation for success.
    if old.reason.is_some() || *fact != Fact::Unchanged {
        new.observed_generation = Some(stamp.generation);
    }
    if old.reason.is_none() {
        new.restored_without_status = is_restored(object);
    }
    let attempts = shown(object, ledger);
    (new.attempt, new.history) = (attempts.attempt, attempts.history);
    handle_token(&mut new, old, fact, stamp, verified);
    if let Some(requested) = &stamp.request.requested_at {
        new.last_handled_reconcile_at = Some(requested.clone());
    }
    new.attempt_limit.get_or_insert(DEFAULT_ATTEMPT_LIMIT);
    new.phone_number
        .get_or_insert_with(|| masked(&object.spec.phone_number));
    change_fields(&mut new, fact, stamp.now);
    fit(&mut new);
    match present::shown(&new, fact) {
        Some(shown) => show(&mut new, &shown, stamp),
        None => restamp(&mut new, stamp.generation),
    }
    new
}

fn handle_token(
    new: &mut PhoneMigrationStatus,
    old: &PhoneMigrationStatus,
    fact: &Fact,
    stamp: &Stamp,
    verified: bool,
) {
    let token = &stamp.request.retry_token;
    // A token that is present at the first reconcile is not a change that a user made.
    let first = old.last_handled_retry_token.is_none();
    let Permit {
        raise_to,
        unknown_passes,
    } = stamp.request.permit;
    // Only the attempt uses up the permission to let an unknown code pass.
    let used = raise_to.is_some() || (unknown_passes && !stamp.is_reconcile);
    if first || used || (stamp.is_reconcile && (verified || fact.handles_retry_token())) {
        new.last_handled_retry_token = Some(token.clone());
    }
    if used {
        let digest = token_digest(token);
        new.handled_retry_tokens.retain(|known| *known != digest);
        new.handled_retry_tokens.insert(0, digest);
        new.handled_retry_tokens.truncate(MOST_TOKENS);
    }
    if raise_to.is_some() {
        new.attempt_limit = raise_to;
    }
}

/// Changes everything except attempts, reason and conditions.
fn change_fields(new: &mut PhoneMigrationStatus, fact: &Fact, now: Timestamp) {
    match fact {
        Fact::Unchanged => {}
        Fact::State(state) => show_state(new, state),
        Fact::Result(result) => show_result(new, result, now),
    }
}

fn show_state(new: &mut PhoneMigrationStatus, state: &State) {
    match state {
        State::StillHeld => {}
        State::NoCode(_)
        | State::Duplicate { .. }
        | State::Suspended
        | State::CodeUnknown(_)
        | State::LedgerUnreadable { .. }
        | State::Exhausted(_)
        | State::Queued(
            QueuedFor::Turn
            | QueuedFor::TurnWithin { .. }
            | QueuedFor::Hold(_)
            | QueuedFor::BrakedPair,
        ) => new.next_attempt_at = None,
        State::Queued(QueuedFor::OpenAttempt { until }) => {
            new.next_attempt_at = Some(whole_seconds(*until));
        }
        State::HeldBack { reply, next, .. } => {
            tell(new, reply);
            new.next_attempt_at = next.map(whole_seconds);
        }
        State::UsedElsewhere => {
            tell(new, &ReplyDetails::default());
            new.next_attempt_at = None;
        }
    }
}

fn show_result(new: &mut PhoneMigrationStatus, result: &CamsResult, now: Timestamp) {
    match result {
        CamsResult::Verified {
            by: _,
            id,
            phone_number,
            request_id,
        } => {
            new.id = id.clone().or(new.id.take());
            let shown = phone_number.as_ref().map(|shown| shown.masked.clone());
            new.phone_number = shown.or(new.phone_number.take());
            new.request_id = request_id.clone().or(new.request_id.take());
            new.error_code = None;
            new.error_message = None;
            new.next_attempt_at = None;
            new.verified_at.get_or_insert(whole_seconds(now));
        }
        CamsResult::Released { reply, next, .. } => {
            tell(new, reply);
            new.next_attempt_at = next.map(whole_seconds);
        }
        CamsResult::Unknown { reply, until } => {
            if reply.code.is_some() {
                tell(new, reply);
            }
            new.next_attempt_at = Some(whole_seconds(*until));
        }
        CamsResult::UnknownOverdue { .. } => new.next_attempt_at = None,
        CamsResult::Spent(conclusion) => conclude(new, &conclusion.reply),
        CamsResult::Disproved => {
            (new.verified_at, new.phone_number) = (None, None);
            new.next_attempt_at = None;
        }
    }
}

/// An imported entry has no message, so status keeps the message it has.
fn conclude(new: &mut PhoneMigrationStatus, reply: &ReplyDetails) {
    if reply.message.is_some() || new.error_code != reply.code {
        new.error_message = reply.message.clone();
    }
    new.error_code = reply.code.clone();
    new.request_id = reply.request_id.clone();
    new.next_attempt_at = None;
}

fn tell(new: &mut PhoneMigrationStatus, reply: &ReplyDetails) {
    new.error_code = reply.code.clone();
    new.error_message = reply.message.clone();
    new.request_id = reply.request_id.clone();
}
