//! Executes a decision: writes the state into status, then schedules what comes next.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::clock::{self, BootTime, Now};
use crate::cluster::ClusterError;
use crate::domain::decide::{Decision, Next, SHOW_QUEUED_AFTER};
use crate::domain::ledger::{Ledger, ledger_name};
use crate::operator::attempt::{self, NotNow, import, late_read};
use crate::operator::state::context::{self, Context};
use crate::operator::state::evaluate::uid_of;
use crate::operator::state::status_writer::say;
use crate::quota::{QueueEntry, Turn};

/// Longest wait. Times are by the wall clock, which may be set.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Pause before the next reconcile of a resource whose number is busy.
const BUSY: Duration = Duration::from_secs(1);

/// Writes the decision's state and schedules what comes next.
///
/// # Errors
/// When the status cannot be written; nothing is scheduled then.
pub async fn execute(
    ctx: &Arc<Context>,
    object: &PhoneMigration,
    ledger: &Ledger,
    decision: Decision,
) -> Result<(), ClusterError> {
    let Some(key) = ObjectKey::of(object) else {
        return Ok(());
    };
    if let Some(fact) = &decision.fact {
        say(ctx, object, fact, ledger, decision.permit).await?;
    }
    plan_next(ctx, &key, object, decision.next);
    Ok(())
}

/// Schedules what comes next.
fn plan_next(ctx: &Arc<Context>, key: &ObjectKey, object: &PhoneMigration, next: Next) {
    let now = clock::now();
    // Before the Secret is read, nothing speaks against the queue entry.
    let may_be_queued = matches!(
        next,
        Next::Enqueue(_) | Next::Stay(_) | Next::Claim | Next::ReadCode
    );
    if !may_be_queued {
        ctx.quota.leave(uid_of(object));
        ctx.memory.queued(key, None);
    }
    let number = &object.spec.phone_number;
    match next {
        Next::Rest => ctx.memory.rest(key),
        Next::At(at) => ctx.memory.set_due(key, Some(boot_time(at, now))),
        Next::Stay(at) => {
            let at = at.map(|at| boot_time(at, now));
            ctx.memory.set_show(key, at, now.boot);
        }
        Next::Poll => ctx.memory.set_poll(key, now.boot),
        Next::ReadCode => ctx.memory.ask(key, now.boot),
        Next::Enqueue(expires_at) => enqueue(ctx, key, object, expires_at, now),
        // The turn came between two evaluations: the next reconcile takes it.
        Next::Claim => ctx.memory.set_due(key, Some(now.boot)),
        Next::ReadStatus(purpose) => {
            let task = late_read::run(Arc::clone(ctx), key.clone(), purpose);
            spawn(ctx, key, object, task);
        }
        Next::StoreImport => {
            let task = import::run(Arc::clone(ctx), key.clone(), object.clone());
            spawn(ctx, key, object, task);
        }
        Next::SettleUnsent => {
            let task = import::settle(Arc::clone(ctx), key.clone(), number.clone());
            spawn(ctx, key, object, task);
        }
        Next::Observe { now: at_once } => {
            ctx.memory.set_due(key, None);
            if at_once {
                ctx.observations.ask(number);
                ctx.memory.read_for_request(key);
            }
        }
        Next::RereadLedger => {
            let again = ctx.ledger_back_offs.failed(number, now.boot);
            ctx.memory.set_due(key, Some(again));
        }
    }
    ctx.planned.notify_one();
}

/// Runs the attempt of a turn, and executes the decision that replaces a claim, if there is one.
pub async fn attempt(ctx: Arc<Context>, key: ObjectKey, cached: PhoneMigration, turn: Turn) {
    let instead = attempt::run(Arc::clone(&ctx), key.clone(), cached, turn).await;
    let Some(NotNow {
        object,
        ledger,
        decision,
    }) = instead
    else {
        return;
    };
    // The next reconcile decides again on everything that needs a task of its own.
    let now = clock::boot();
    let result = match &decision.fact {
        Some(fact) => say(&ctx, &object, fact, &ledger, decision.permit).await,
        None => Ok(()),
    };
    match result {
        Ok(()) => match decision.next {
            Next::Rest
            | Next::At(_)
            | Next::Stay(_)
            | Next::Poll
            | Next::ReadCode
            | Next::Observe { .. }
            | Next::RereadLedger => plan_next(&ctx, &key, &object, decision.next),
            Next::Enqueue(_)
            | Next::Claim
            | Next::ReadStatus(_)
            | Next::StoreImport
            | Next::SettleUnsent => ctx.memory.set_due(&key, Some(now)),
        },
        Err(ClusterError::Conflict) => {
            ctx.memory.conflicted(&key, now);
        }
        Err(error) => {
            let delay = ctx.memory.failed(&key, now);
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Reconcile not finished");
        }
    }
}

fn enqueue(
    ctx: &Context,
    key: &ObjectKey,
    object: &PhoneMigration,
    expires_at: Option<Timestamp>,
    now: Now,
) {
    let created_at = object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now.wall, |at| at.0);
    ctx.memory.queued(key, Some(now.boot));
    let shown = now.boot + SHOW_QUEUED_AFTER;
    ctx.memory.set_show(key, Some(shown), now.boot);
    if !ctx.quota.is_waiting(uid_of(object)) {
        ctx.metrics.workqueue.added();
    }
    let queue_entry = QueueEntry {
        uid: uid_of(object).to_owned(),
        namespace: key.namespace.clone(),
        cust_space_id: object.spec.cust_space_id.clone(),
        ledger: ledger_name(&object.spec.phone_number),
        name: key.name.clone(),
        expires_at,
        created_at,
    };
    let number = &object.spec.phone_number;
    context::enqueue(&ctx.quota, &ctx.numbers, number, queue_entry);
}

/// Starts a task for the resource. If one runs for it or its number, the next reconcile decides
/// again.
pub fn spawn(
    ctx: &Arc<Context>,
    key: &ObjectKey,
    object: &PhoneMigration,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let (after, its_key) = (Arc::clone(ctx), key.clone());
    let ended = move || {
        after.memory.due_now_unless_set(&its_key, clock::boot());
        after.trigger(&its_key);
        // If the task left an entry open, the operator observes it from now on.
        after.observations.notify();
    };
    // The task takes over whatever was due. Its follow-up, or its failure, must not be paced like a
    // poll.
    ctx.memory.set_due(key, None);
    let number = &object.spec.phone_number;
    if !ctx.tasks.start(number, uid_of(object), task, ended) {
        ctx.memory.set_due(key, Some(clock::boot() + BUSY));
    }
}

fn boot_time(at: Timestamp, now: Now) -> BootTime {
    let wait = at.duration_since(now.wall);
    if wait.is_negative() {
        now.boot
    } else {
        now.boot + wait.unsigned_abs().min(LONGEST_WAIT)
    }
}
