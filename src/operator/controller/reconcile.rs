//! One reconcile of one resource: read, decide, act.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::Resource;
use kube::runtime::controller::Action;

use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::clock::{self, Now};
use crate::cluster::ClusterError;
use crate::domain::decide::TurnState;
use crate::domain::ledger::is_outdated;
use crate::operator::controller::execute::{attempt, execute, spawn};
use crate::operator::state::cached::Cached;
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::{evaluate, uid_of};
use crate::operator::state::ledgers;
use crate::operator::state::memory::Due;
use crate::operator::state::status_writer::note;
use crate::telemetry::metrics::ReconcileResult;

/// Pause before the next reconcile of an object that this version cannot parse.
const UNPARSABLE: Duration = Duration::from_secs(300);
/// Longest wait for the watch to show what this process wrote.
const ECHO: Duration = Duration::from_secs(30);

/// Reconciles a resource, if it is due. Never sleeps for a turn: it asks for one and returns.
///
/// # Errors
/// Never: after a failure the resource is due again after its own back-off.
pub async fn reconcile(cached: Arc<Cached>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let _worker = ctx.metrics.reconcile.worker();
    let begun = clock::boot();
    let (action, error) = reconcile_once(&cached, &ctx).await;
    let result = match error {
        Some(error) => error,
        None if action == Action::await_change() => ReconcileResult::Success,
        None => ReconcileResult::RequeueAfter,
    };
    let took = clock::boot().saturating_sub(begun);
    ctx.metrics.reconcile.reconciled(result, took);
    Ok(action)
}

/// Returns when to requeue, and how the reconcile failed, if it did.
async fn reconcile_once(cached: &Cached, ctx: &Arc<Context>) -> (Action, Option<ReconcileResult>) {
    let Some(object) = &cached.show() else {
        let meta = cached.meta();
        tracing::error!(
            namespace = meta.namespace.as_deref(),
            name = meta.name.as_deref(),
            "Resource cannot be parsed: is the installed CRD of this version?"
        );
        return (Action::requeue(UNPARSABLE), Some(ReconcileResult::Error));
    };
    let Some(key) = ObjectKey::of(object) else {
        return (Action::await_change(), None);
    };
    if is_busy_or_standby(ctx, object)
        || !ctx.numbers.knows(&object.spec.phone_number, uid_of(object))
    {
        return (Action::await_change(), None);
    }
    // A panic in the reconcile of one resource must not stop the others.
    let result = AssertUnwindSafe(reconcile_due(ctx, &key, object))
        .catch_unwind()
        .await;
    match result {
        Ok(Ok(())) => (requeue_action(ctx, &key, object), None),
        Ok(Err(error)) => after_error(ctx, &key, &error),
        Err(_) => {
            let panic =
                ClusterError::Unavailable("the reconcile panicked: please report it".into());
            let (action, _) = after_error(ctx, &key, &panic);
            (action, Some(ReconcileResult::Panic))
        }
    }
}

fn after_error(
    ctx: &Context,
    key: &ObjectKey,
    error: &ClusterError,
) -> (Action, Option<ReconcileResult>) {
    let (delay, result) = match error {
        ClusterError::NotFound => {
            ctx.forget(key);
            return (Action::await_change(), None);
        }
        // Another writer came first: reconcile again soon.
        ClusterError::Conflict => (ctx.memory.conflicted(key, clock::boot()), None),
        ClusterError::Invalid
        | ClusterError::Altered
        | ClusterError::Forbidden
        | ClusterError::Unauthorized
        | ClusterError::Failed(_)
        | ClusterError::Unavailable(_) => {
            let delay = ctx.memory.failed(key, clock::boot());
            (delay, Some(ReconcileResult::Error))
        }
    };
    tracing::warn!(object = %key, %error, retry_after = ?delay, "Reconcile not finished");
    (Action::requeue(delay), result)
}

/// Both trigger a reconcile later: the task when it ends, and a new leader for every resource.
fn is_busy_or_standby(ctx: &Context, object: &PhoneMigration) -> bool {
    ctx.tasks
        .is_running(&object.spec.phone_number, uid_of(object))
        || !ctx.activity.may_act()
}

fn requeue_action(ctx: &Context, key: &ObjectKey, object: &PhoneMigration) -> Action {
    if is_busy_or_standby(ctx, object) {
        return Action::await_change();
    }
    let now = clock::now();
    match ctx.memory.due(key, object, now) {
        Due::At(at) => Action::requeue(at.saturating_sub(now.boot).max(Duration::from_millis(1))),
        Due::Now | Due::Changed => Action::requeue(Duration::from_millis(1)),
        Due::Stale => Action::requeue(ECHO),
        Due::Never => Action::await_change(),
    }
}

async fn reconcile_due(
    ctx: &Arc<Context>,
    key: &ObjectKey,
    object: &PhoneMigration,
) -> Result<(), ClusterError> {
    let uid = uid_of(object);
    let now = clock::now();
    let due = ctx.memory.due(key, object, now);
    if let Some(turn) = ctx.quota.take_turn(uid) {
        ctx.memory.queued(key, None);
        spawn(
            ctx,
            key,
            object,
            attempt(Arc::clone(ctx), key.clone(), object.clone(), turn),
        );
        return Ok(());
    }
    let lost = has_lost_its_turn(ctx, key, uid);
    match due {
        Due::Stale => return Ok(()),
        Due::At(_) | Due::Never if !lost => return Ok(()),
        Due::At(_) | Due::Never | Due::Changed | Due::Now => {}
    }
    ctx.memory.begin(key);
    evaluate_and_execute(ctx, key, object).await?;
    ctx.memory.succeeded(key);
    Ok(())
}

/// True for a resource that waits for its turn but is not in the queue any more: its turn expired
/// before a reconcile took it. Without an evaluation it would wait forever.
fn has_lost_its_turn(ctx: &Context, key: &ObjectKey, uid: &str) -> bool {
    ctx.memory.queued_at(key).is_some() && !ctx.quota.is_waiting(uid)
}

/// Evaluates the resource as the cache shows it, writes, and schedules what comes next. The write
/// is conditional on the evaluated version, so an old view cannot write. After a conflict it
/// evaluates the live resource, since the cache may stay behind.
async fn evaluate_and_execute(
    ctx: &Arc<Context>,
    key: &ObjectKey,
    cached: &PhoneMigration,
) -> Result<(), ClusterError> {
    refresh(ctx, cached).await?;
    let turn = turn_state(ctx, key, uid_of(cached), clock::now());
    let evaluated = evaluate(ctx, cached, turn).await?;
    // After a conflict the cache is known to be behind.
    if !ctx.memory.met_conflict(key) {
        match execute(ctx, cached, &evaluated.ledger, evaluated.decision).await {
            Err(ClusterError::Conflict) => {}
            done => return done,
        }
    }
    let live = ctx.cluster.get(key).await?;
    note(ctx, &live);
    refresh(ctx, &live).await?;
    let evaluated = evaluate(ctx, &live, turn).await?;
    execute(ctx, &live, &evaluated.ledger, evaluated.decision).await
}

/// Reads the number's ledger again if the known one is unusable, or older than what status shows:
/// another process may have ended the attempt.
async fn refresh(ctx: &Context, object: &PhoneMigration) -> Result<(), ClusterError> {
    let number = &object.spec.phone_number;
    let known = ctx.index.get(number);
    let unusable = known.unusable.is_some() && ctx.ledger_back_offs.may_try(number, clock::boot());
    let outdated = is_outdated(&known, object) && !ctx.tasks.runs_for_number(number);
    if unusable || outdated {
        ledgers::read(ctx, number).await?;
    }
    Ok(())
}

fn turn_state(ctx: &Context, key: &ObjectKey, uid: &str, now: Now) -> TurnState {
    if !ctx.quota.is_waiting(uid) {
        return TurnState::None;
    }
    let since = ctx.memory.queued_at(key).unwrap_or(now.boot);
    TurnState::Waiting(now.boot.saturating_sub(since))
}
