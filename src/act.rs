//! Carrying out a decision: write what status is to say, then arrange what comes next.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{self, BootTime, Now};
use crate::cluster::{ClusterError, Key};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::decide::{Decision, Next, SHOW_QUEUED_AFTER};
use crate::look::{self, key_of, uid_of};
use crate::observe;
use crate::quota::Ticket;

/// Times are by the wall clock, which may be set: nothing is left to it for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Before another look at a resource whose number is busy.
const BUSY: Duration = Duration::from_secs(1);

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
        Next::Stay(at) => ctx.visits.set_look(&key, at.map(|at| boot_time(at, now))),
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
    ctx.visits.set_look(key, Some(now.boot + SHOW_QUEUED_AFTER));
    if !ctx.quota.is_waiting(uid_of(object)) {
        ctx.metrics.workqueue.added();
    }
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
pub fn spawn(
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
    // What was due before is the task's now; what follows it, or its failure, is no mere look.
    ctx.visits.set_due(key, None);
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
        now.boot + wait.unsigned_abs().min(LONGEST_WAIT)
    }
}
