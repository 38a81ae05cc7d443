//! One visit to one resource: read, decide, act.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::runtime::controller::Action;

use crate::act::{carry_out, spawn};
use crate::attempt;
use crate::clock::{self, Now};
use crate::cluster::{ClusterError, Key, Watched};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::decide::{Decision, TurnState};
use crate::look::{self, key_of, uid_of};
use crate::metrics::Visited;
use crate::visits::Due;

/// Between visits to an object that this version cannot parse.
const UNPARSABLE: Duration = Duration::from_secs(300);
/// How long to wait at most for the watch to show what this process wrote.
const ECHO: Duration = Duration::from_secs(30);

/// Visits a resource, if it is due. Never sleeps for a turn: it asks for one and returns.
///
/// # Errors
/// Never: a failed visit is due again after a back-off of the resource's own.
pub async fn reconcile(watched: Arc<Watched>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let _worker = ctx.metrics.reconcile.worker();
    let begun = clock::boot();
    let (action, error) = reconcile_once(&watched, &ctx).await;
    let visited = match error {
        Some(error) => error,
        None if action == Action::await_change() => Visited::Success,
        None => Visited::RequeueAfter,
    };
    let took = clock::boot().saturating_sub(begun);
    ctx.metrics.reconcile.visited(visited, took);
    Ok(action)
}

/// When to come again, and how it failed if it did.
async fn reconcile_once(watched: &Watched, ctx: &Arc<Context>) -> (Action, Option<Visited>) {
    let object = match &watched.0 {
        Ok(object) => object,
        Err(invalid) => {
            tracing::error!(
                namespace = invalid.metadata.namespace.as_deref(),
                name = invalid.metadata.name.as_deref(),
                "Resource cannot be parsed: is the installed CRD of this version?"
            );
            return (Action::requeue(UNPARSABLE), Some(Visited::Error));
        }
    };
    let Some(key) = key_of(object) else {
        return (Action::await_change(), None);
    };
    if is_out_of_hands(ctx, object) {
        return (Action::await_change(), None);
    }
    // One resource that makes us panic must not stop the others.
    let visited = AssertUnwindSafe(visit(ctx, &key, object))
        .catch_unwind()
        .await;
    match visited {
        Ok(Ok(())) => (next_visit(ctx, &key, object), None),
        Ok(Err(error)) => after_error(ctx, &key, &error),
        Err(_) => {
            let panic = ClusterError::Unavailable("the visit panicked: please report it".into());
            let (action, _) = after_error(ctx, &key, &panic);
            (action, Some(Visited::Panic))
        }
    }
}

fn after_error(ctx: &Context, key: &Key, error: &ClusterError) -> (Action, Option<Visited>) {
    let (delay, visited) = match error {
        ClusterError::NotFound => {
            ctx.visits.forget(key);
            return (Action::await_change(), None);
        }
        // Somebody else wrote: look again soon.
        ClusterError::Conflict => (ctx.visits.conflicted(key, clock::boot()), None),
        ClusterError::Invalid
        | ClusterError::Forbidden
        | ClusterError::Unauthorized
        | ClusterError::Failed(_)
        | ClusterError::Unavailable(_) => {
            let delay = ctx.visits.failed(key, clock::boot());
            (delay, Some(Visited::Error))
        }
    };
    tracing::warn!(object = %key, %error, retry_after = ?delay, "Visit not finished");
    (Action::requeue(delay), visited)
}

/// A running task triggers its resource when it ends, and whoever begins to lead visits all.
fn is_out_of_hands(ctx: &Context, object: &PhoneMigration) -> bool {
    ctx.tasks.is_running(uid_of(object)) || !ctx.activity.may_act()
}

fn next_visit(ctx: &Context, key: &Key, object: &PhoneMigration) -> Action {
    if is_out_of_hands(ctx, object) {
        return Action::await_change();
    }
    let now = clock::now();
    match ctx.visits.due(key, object, now) {
        Due::At(at) => Action::requeue(at.saturating_sub(now.boot).max(Duration::from_millis(1))),
        Due::Now | Due::Look | Due::Changed => Action::requeue(Duration::from_millis(1)),
        Due::Stale => Action::requeue(ECHO),
        Due::Never => Action::await_change(),
    }
}

async fn visit(ctx: &Arc<Context>, key: &Key, object: &PhoneMigration) -> Result<(), ClusterError> {
    let uid = uid_of(object);
    let now = clock::now();
    let due = ctx.visits.due(key, object, now);
    if let Some(turn) = ctx.quota.take_turn(uid) {
        ctx.visits.queued(key, None);
        spawn(
            ctx,
            key,
            object,
            attempt::run(Arc::clone(ctx), key.clone(), turn),
        );
        return Ok(());
    }
    let lost = has_lost_its_turn(ctx, key, uid);
    match due {
        Due::Stale => return Ok(()),
        Due::At(_) | Due::Never if !lost => return Ok(()),
        Due::Look if !lost && !ctx.visits.permit_look(key, now.boot) => return Ok(()),
        Due::At(_) | Due::Never | Due::Changed | Due::Now | Due::Look => {}
    }
    ctx.visits.begin(key);
    look_and_act(ctx, key, object).await?;
    ctx.visits.succeeded(key);
    Ok(())
}

/// True for a resource that rests in the queue and is not there any more: its turn ran out before
/// a visit could take it. Without a look it would wait for ever.
fn has_lost_its_turn(ctx: &Context, key: &Key, uid: &str) -> bool {
    ctx.visits.queued_at(key).is_some() && !ctx.quota.is_waiting(uid)
}

async fn look_and_act(
    ctx: &Arc<Context>,
    key: &Key,
    cached: &PhoneMigration,
) -> Result<(), ClusterError> {
    if ctx.never_sent.surfaced_in(cached) {
        return release_unsent(ctx, key).await;
    }
    let turn = turn_state(ctx, key, uid_of(cached), clock::now());
    let (decision, code) = look::look(ctx, cached, None, turn).await?;
    let circumstances = look::circumstances(cached, clock::now().wall);
    let says_so = |fact| look::changed(cached, fact, &circumstances).is_none();
    if decision.fact.as_ref().is_none_or(says_so) {
        return carry_out(
            ctx,
            cached,
            Decision {
                fact: None,
                ..decision
            },
        )
        .await;
    }
    // Never write by the cache: it may be older than our own last write.
    let live = ctx.cluster.get(key).await?;
    look::note(ctx, &live);
    // What was read is of the Secret that the older one named.
    let names_the_same = uid_of(&live) == uid_of(cached) && live.spec == cached.spec;
    let code = code.filter(|_| names_the_same);
    let (decision, _) = look::look(ctx, &live, code, turn).await?;
    carry_out(ctx, &live, decision).await
}

fn turn_state(ctx: &Context, key: &Key, uid: &str, now: Now) -> TurnState {
    if !ctx.quota.is_waiting(uid) {
        return TurnState::None;
    }
    let since = ctx.visits.queued_at(key).unwrap_or(now.boot);
    TurnState::Waiting(now.boot.saturating_sub(since))
}

async fn release_unsent(ctx: &Context, key: &Key) -> Result<(), ClusterError> {
    let live = ctx.cluster.get(key).await?;
    look::note(ctx, &live);
    if ctx.never_sent.surfaced_in(&live) {
        attempt::release_unsent(ctx, live).await;
    }
    ctx.visits.set_due(key, Some(clock::boot()));
    Ok(())
}
