//! One visit to one resource: read, decide, act.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use crate::attempt;
use crate::clock::{self, BootTime, Now};
use crate::cluster::{ClusterError, Key, Watched};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::decide::{Decision, Next, SHOW_QUEUED_AFTER, TurnState};
use crate::look::{self, key_of, uid_of};
use crate::observe;
use crate::quota::Ticket;
use crate::visits::Due;

/// Between visits to an object that this version cannot parse.
const UNPARSABLE: Duration = Duration::from_secs(300);
/// How long to wait at most for the watch to show what this process wrote.
const ECHO: Duration = Duration::from_secs(30);
/// Before another look at a resource whose number is busy.
const BUSY: Duration = Duration::from_secs(1);

/// Visits a resource, if it is due. Never sleeps for a turn: it asks for one and returns.
///
/// # Errors
/// Never: a failed visit is due again after a back-off of the resource's own.
pub async fn reconcile(watched: Arc<Watched>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let object = match &watched.0 {
        Ok(object) => object,
        Err(invalid) => {
            tracing::error!(
                namespace = invalid.metadata.namespace.as_deref(),
                name = invalid.metadata.name.as_deref(),
                "Resource cannot be parsed: is the installed CRD of this version?"
            );
            return Ok(Action::requeue(UNPARSABLE));
        }
    };
    let Some(key) = key_of(object) else {
        return Ok(Action::await_change());
    };
    if is_out_of_hands(&ctx, object) {
        return Ok(Action::await_change());
    }
    if let Err(error) = visit(&ctx, &key, object).await {
        if error == ClusterError::NotFound {
            ctx.visits.forget(&key);
            return Ok(Action::await_change());
        }
        let delay = match error {
            // Somebody else wrote: look again at once.
            ClusterError::Conflict => {
                ctx.visits.set_due(&key, Some(clock::boot()));
                Duration::from_millis(50)
            }
            _ => {
                ctx.metrics.reconcile_error();
                ctx.visits.failed(&key, clock::boot())
            }
        };
        tracing::warn!(object = %key, %error, retry_after = ?delay, "Visit not finished");
        return Ok(Action::requeue(delay));
    }
    Ok(next_visit(&ctx, &key, object))
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
        Due::Now | Due::Changed => Action::requeue(Duration::from_millis(1)),
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
    match due {
        Due::At(_) | Due::Never | Due::Stale => return Ok(()),
        Due::Changed | Due::Now => {}
    }
    if let Some(wait) = unpermitted_poll(ctx, key, object, due, now) {
        ctx.visits.set_due(key, Some(now.boot + wait));
        return Ok(());
    }
    ctx.visits.set_due(key, None);
    look_and_act(ctx, key, object).await?;
    ctx.visits.succeeded(key);
    Ok(())
}

/// How long a visit that only looks at a Secret again has to wait for its permission.
fn unpermitted_poll(
    ctx: &Context,
    key: &Key,
    object: &PhoneMigration,
    due: Due,
    now: Now,
) -> Option<Duration> {
    if due != Due::Now {
        return None;
    }
    let decision = look::decide_on(
        ctx,
        object,
        None,
        turn_state(ctx, key, uid_of(object), now),
        now.wall,
    );
    (decision.next == Next::ReadCode)
        .then(|| ctx.polls.permit().err())
        .flatten()
}

async fn look_and_act(
    ctx: &Arc<Context>,
    key: &Key,
    cached: &PhoneMigration,
) -> Result<(), ClusterError> {
    if is_unsent(ctx, cached) {
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
    let (decision, _) = look::look(ctx, &live, code, turn).await?;
    carry_out(ctx, &live, decision).await
}

/// Writes what the decision says and arranges what comes next.
///
/// # Errors
/// When the status could not be written; nothing was arranged then.
pub async fn carry_out(
    ctx: &Arc<Context>,
    object: &PhoneMigration,
    decision: Decision,
) -> Result<(), ClusterError> {
    let Some(key) = key_of(object) else {
        return Ok(());
    };
    let now = clock::now();
    if let Some(fact) = &decision.fact {
        let circumstances = look::circumstances(object, now.wall);
        if let Some(new) = look::changed(object, fact, &circumstances) {
            look::write(ctx, object, new, fact).await?;
        }
    }
    let queued = matches!(
        decision.next,
        Next::Enqueue(_) | Next::Stay(_) | Next::Claim(_)
    );
    if !queued {
        ctx.quota.leave(uid_of(object));
        ctx.visits.queued(&key, None);
    }
    match decision.next {
        Next::Rest => ctx.visits.set_due(&key, None),
        Next::At(at) => ctx.visits.set_due(&key, Some(boot_time(at, now))),
        Next::Stay(at) => ctx.visits.set_due(&key, at.map(|at| boot_time(at, now))),
        Next::Poll | Next::ReadCode => {
            let jitter = clock::random::<1>().map_or(0, |[byte]| byte);
            ctx.visits.set_poll(&key, now.boot, jitter);
        }
        Next::Enqueue(expires_at) => enqueue(ctx, &key, object, expires_at, now),
        // The turn came between two looks: the next visit takes it.
        Next::Claim(_) => ctx.visits.set_due(&key, Some(now.boot)),
        Next::ReadStatus(purpose) => {
            let task = observe::run(Arc::clone(ctx), key.clone(), purpose);
            spawn(ctx, &key, object, task);
        }
    }
    Ok(())
}

fn enqueue(
    ctx: &Context,
    key: &Key,
    object: &PhoneMigration,
    expires_at: Option<Timestamp>,
    now: Now,
) {
    let created_at = object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now.wall, |at| at.0);
    ctx.visits.queued(key, Some(now.boot));
    ctx.visits.set_due(key, Some(now.boot + SHOW_QUEUED_AFTER));
    ctx.quota.enqueue(Ticket {
        uid: uid_of(object).to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        expires_at,
        created_at,
    });
}

/// Starts a task for the resource; if one runs for it or its number, the next visit decides
/// again.
fn spawn(
    ctx: &Arc<Context>,
    key: &Key,
    object: &PhoneMigration,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let (after, its_key) = (Arc::clone(ctx), key.clone());
    let ended = move || {
        after.visits.due_now_unless_set(&its_key, clock::boot());
        after.trigger(&its_key);
    };
    let number = &object.spec.phone_number;
    if !ctx.tasks.start(uid_of(object), number, task, ended) {
        ctx.visits.set_due(key, Some(clock::boot() + BUSY));
    }
}

fn boot_time(at: Timestamp, now: Now) -> BootTime {
    let wait = at.duration_since(now.wall);
    if wait.is_negative() {
        now.boot
    } else {
        now.boot + wait.unsigned_abs()
    }
}

fn turn_state(ctx: &Context, key: &Key, uid: &str, now: Now) -> TurnState {
    if !ctx.quota.is_waiting(uid) {
        return TurnState::None;
    }
    let since = ctx.visits.queued_at(key).unwrap_or(now.boot);
    TurnState::Waiting(now.boot.saturating_sub(since))
}

/// True for a claim of ours that was certainly never sent, and whose write surfaced late.
fn is_unsent(ctx: &Context, object: &PhoneMigration) -> bool {
    let attempt = object
        .status
        .as_ref()
        .and_then(|status| status.attempt.as_ref());
    attempt.is_some_and(|a| a.outcome.is_none() && ctx.never_sent.contains(&a.id))
}

async fn release_unsent(ctx: &Context, key: &Key) -> Result<(), ClusterError> {
    let live = ctx.cluster.get(key).await?;
    look::note(ctx, &live);
    if is_unsent(ctx, &live) {
        attempt::release_unsent(ctx, live).await;
    }
    ctx.visits.set_due(key, Some(clock::boot()));
    Ok(())
}
