//! Gathers the inputs of a decision, and decides. Reconcile uses it, and so does the attempt, which
//! decides again on live reads right before it claims.

use jiff::Timestamp;

use crate::api::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::api::object_key::ObjectKey;
use crate::clock;
use crate::cluster::ClusterError;
use crate::domain::code::CodeReading;
use crate::domain::decide::{
    Decision, Next, Observed, TurnState, decide, explains_hold, requested, token_changed,
};
use crate::domain::fact::{Fact, QueuedFor, State};
use crate::domain::ledger::{Ledger, import};
use crate::domain::reads::Reads;
use crate::operator::state::context::{ACCOUNT, Context};
use crate::operator::state::memory::CodeKnown;
use crate::quota::HoldView;

/// The uid; empty if the object has none, so that it never matches.
pub fn uid_of(object: &PhoneMigration) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

/// Reads the Secret that `object` names, and remembers the result.
///
/// # Errors
/// When the API server fails or does not answer.
pub async fn read_code(
    ctx: &Context,
    object: &PhoneMigration,
) -> Result<CodeReading, ClusterError> {
    let Some(key) = ObjectKey::of(object) else {
        return Ok(CodeReading::SecretNotFound);
    };
    let read = ctx
        .cluster
        .secret(&key.namespace, &object.spec.verify_code_secret_ref);
    let values = match read.await {
        Ok(values) => values,
        Err(ClusterError::Forbidden) => {
            let (reading, now) = (CodeReading::SecretForbidden, clock::boot());
            ctx.memory.code_read(&key, object, None, &reading, now);
            return Ok(reading);
        }
        Err(error) => return Err(error),
    };
    let version = values.as_ref().map(|v| v.version.clone());
    let reading = CodeReading::new(
        values,
        &ctx.fingerprint_key,
        ACCOUNT,
        &object.spec.phone_number,
        ctx.code_digits,
    );
    let now = clock::boot();
    ctx.memory.code_read(&key, object, version, &reading, now);
    Ok(reading)
}

/// What is known of the number's codes without a request: from the index, from this process's
/// memory and from the status of `object`.
pub fn known_ledger(ctx: &Context, object: &PhoneMigration, now: Timestamp) -> Ledger {
    let number = &object.spec.phone_number;
    let indexed = (*ctx.index.get(number)).clone();
    import(
        indexed,
        &ctx.sent.of(number),
        Some(object),
        ctx.validity,
        now,
    )
}

/// The subject of a resource's reads: another entry or another outcome starts a new read log.
pub fn subject(object: &PhoneMigration, ledger: &Ledger) -> String {
    match ledger.of_uid(uid_of(object)).next() {
        None => String::new(),
        Some(entry) if entry.is_open() => format!("{}/open", entry.attempt_id),
        Some(entry) => {
            let outcome = entry.outcome.map_or("", |outcome| outcome.as_str());
            format!("{}/{outcome}", entry.attempt_id)
        }
    }
}

/// Whether a user requests a reconcile by a value whose read is still to be made.
pub fn asks(ctx: &Context, object: &PhoneMigration) -> bool {
    let none = PhoneMigrationStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    let token = token_changed(object, status).then_some(object.spec.retry_token.as_str());
    let requested_at = requested(object, status);
    ObjectKey::of(object).is_some_and(|key| ctx.memory.asks(&key, requested_at.as_deref(), token))
}

/// Decides on known data, without any request.
pub fn decide_on(
    ctx: &Context,
    object: &PhoneMigration,
    ledger: &Ledger,
    code: Option<&CodeReading>,
    turn: TurnState,
    now: Timestamp,
) -> Decision {
    let number = &object.spec.phone_number;
    let reads = ObjectKey::of(object).map_or_else(
        || Reads::none(now),
        |key| ctx.memory.reads(&key, &subject(object, ledger), now),
    );
    let asked = asks(ctx, object);
    let open_id = ledger.open().map(|entry| entry.attempt_id.as_str());
    let overdue = open_id.and_then(|id| ctx.observations.overdue(number, id));
    let hold = ctx.quota.hold();
    let observed = Observed {
        object,
        ledger,
        neighbours: &ctx.numbers.neighbours(number, uid_of(object)),
        task_runs: ctx.tasks.runs_for_number(number),
        abandoned: open_id.is_some_and(|id| ctx.abandoned.contains(id)),
        overdue: overdue.as_deref(),
        code,
        turn,
        hold: hold.map(|hold| hold.cause),
        held_since: held_since(ctx, object, hold, now),
        braked: ctx.quota.is_braked(uid_of(object)),
        reads: &reads,
        asked,
    };
    with_estimate(ctx, object, decide(&observed, now), now)
}

/// Since when the account has been held, or since when this process has seen the resource show a
/// hold, whichever is longer. For a resource that backs off alone, the hold ends now and then.
fn held_since(
    ctx: &Context,
    object: &PhoneMigration,
    hold: Option<HoldView>,
    now: Timestamp,
) -> Option<Timestamp> {
    let reason = object.status.as_ref().and_then(|status| status.reason());
    let shown = reason.filter(|reason| explains_hold(*reason));
    let key = ObjectKey::of(object)?;
    let boot = clock::boot();
    let shown = ctx.memory.shows_hold(&key, shown, boot)?;
    let since = hold.map_or(shown, |hold| shown.min(hold.since));
    now.checked_sub(boot.saturating_sub(since)).ok()
}

/// Adds how long the wait for the turn may last, and requeues for when the estimate changes.
fn with_estimate(
    ctx: &Context,
    object: &PhoneMigration,
    decision: Decision,
    now: Timestamp,
) -> Decision {
    let (Some(Fact::State(State::Queued(QueuedFor::Turn))), Next::Stay(until)) =
        (&decision.fact, &decision.next)
    else {
        return decision;
    };
    let Some(wait) = ctx.quota.estimate(uid_of(object)) else {
        return decision;
    };
    let again = wait.again_in.map(|again| now + again);
    let said = QueuedFor::TurnWithin {
        minutes: wait.minutes,
        before: wait.before,
    };
    Decision {
        fact: Some(Fact::State(State::Queued(said))),
        next: Next::Stay([*until, again].into_iter().flatten().min()),
        ..decision
    }
}

/// The result of an evaluation.
pub struct Evaluated {
    /// What is known of the number's codes.
    pub ledger: Ledger,
    /// The decision.
    pub decision: Decision,
}

/// Decides on the code that is known for what `object` asks. If none is, this reads the Secret. If no
/// read is allowed now, the decision stays [`Next::ReadCode`].
///
/// # Errors
/// When the Secret cannot be read.
pub async fn evaluate(
    ctx: &Context,
    object: &PhoneMigration,
    turn: TurnState,
) -> Result<Evaluated, ClusterError> {
    let now = clock::now().wall;
    let mut ledger = known_ledger(ctx, object, now);
    let mut decision = decide_on(ctx, object, &ledger, None, turn, now);
    if decision.next == Next::ReadCode
        && let Some(key) = ObjectKey::of(object)
    {
        let code = match ctx.memory.code(&key, object) {
            CodeKnown::Read(reading) => Some(reading),
            CodeKnown::ReadNow => Some(read_code(ctx, object).await?),
            CodeKnown::AwaitTurn => None,
        };
        let now = clock::now().wall;
        ledger = known_ledger(ctx, object, now);
        decision = decide_on(ctx, object, &ledger, code.as_ref(), turn, now);
    }
    Ok(Evaluated { ledger, decision })
}
