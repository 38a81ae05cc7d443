//! The task that observes a resource whose outcome is not known: it reads the number's status and
//! writes what that means. Nothing is ever sent from here but reads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::cluster::{ClusterError, Key};
use crate::context::Context;
use crate::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::decide::{Next, TurnState};
use crate::fact::Fact;
use crate::look;
use crate::metrics::Task;
use crate::quota::Priority;
use crate::reads::{Purpose, ReadResult, after_read};
use crate::record::remember;
use crate::status_read::{read_dated, result};
use crate::visits::conflict_back_off;

/// How long an observation waits for a slot; it is made again later.
const SLOT_WITHIN: Duration = Duration::from_secs(30);
/// After a read that brought no news and is due again at once.
const PAUSE: Duration = Duration::from_secs(5);

/// One read for one resource, and what follows from it.
pub async fn run(ctx: Arc<Context>, key: Key, purpose: Purpose) {
    match observe(&ctx, &key, purpose).await {
        Ok(()) => {}
        Err(ClusterError::NotFound) => ctx.visits.forget(&key),
        Err(error) => {
            let delay = ctx.visits.failed(&key, clock::boot());
            ctx.metrics.resources.task_failure(Task::Observation);
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Status read not finished");
        }
    }
}

async fn observe(ctx: &Context, key: &Key, purpose: Purpose) -> Result<(), ClusterError> {
    let object = ctx.cluster.get(key).await?;
    look::note(ctx, &object);
    let code = match purpose {
        Purpose::TakeOver => Some(look::read_code(ctx, &object).await?),
        Purpose::Open | Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
    };
    let now = clock::now();
    let decision = look::decide_on(ctx, &object, code.as_ref(), TurnState::None, now.wall);
    if !is_wanted(purpose, decision.next) {
        ctx.visits.set_due(key, Some(now.boot + PAUSE));
        return Ok(());
    }
    let read = read_dated(ctx, &object, Priority::Observe, SLOT_WITHIN, None);
    let (verdict, told, date) = tokio::select! {
        read = read => read,
        // The next process reads it; the end of this one is for what cannot be read again.
        () = ctx.activity.asked_to_stop() => return Ok(()),
    };
    let result = result(&verdict, &told, date);
    let now = clock::now();
    let answered = match &result {
        ReadResult::Verified { .. } | ReadResult::NotVerified { .. } => Some(true),
        ReadResult::Failed(_) => Some(false),
        ReadResult::NotMade => None,
    };
    if let Some(answered) = answered {
        let status = object.status.as_ref();
        ctx.visits.read_made(key, status, answered, now.wall);
    }
    let again = purpose == Purpose::TakeOver || answered.is_none();
    let pause = if again { PAUSE } else { Duration::ZERO };
    ctx.visits.set_due(key, Some(now.boot + pause));
    conclude(ctx, key, object, purpose, &result).await
}

/// Whether a read that was decided on is still to be made. One that was asked for is no longer
/// due once the request was acknowledged, and is made all the same. PURE.
pub fn is_wanted(purpose: Purpose, next: Next) -> bool {
    match purpose {
        Purpose::Late | Purpose::Open => true,
        Purpose::MakeUp | Purpose::MissingId | Purpose::TakeOver => {
            next == Next::ReadStatus(purpose)
        }
    }
}

/// Writes what the read means, re-reading the resource when it changed in the meantime.
async fn conclude(
    ctx: &Context,
    key: &Key,
    mut object: PhoneMigration,
    purpose: Purpose,
    result: &ReadResult,
) -> Result<(), ClusterError> {
    let none = PhoneMigrationStatus::default();
    let attempt_id = attempt_id(&object);
    let mut conflicts = 0;
    loop {
        let now = clock::now().wall;
        let status = object.status.as_ref().unwrap_or(&none);
        let elsewhere = match purpose {
            Purpose::TakeOver => elsewhere(ctx, &object, now).await?,
            Purpose::Open | Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
        };
        let fact = after_read(
            status,
            purpose,
            result,
            elsewhere.as_ref(),
            ctx.validity,
            now,
        );
        let Some(fact) = fact else { return Ok(()) };
        match write(ctx, &object, &fact).await {
            Err(ClusterError::Conflict) => {
                tokio::time::sleep(conflict_back_off(conflicts)).await;
                conflicts += 1;
                object = ctx.cluster.get(key).await?;
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(()),
        }
        // Another attempt, or another resource of the name: this read was not about it.
        if self::attempt_id(&object) != attempt_id {
            return Ok(());
        }
    }
}

async fn elsewhere(
    ctx: &Context,
    object: &PhoneMigration,
    now: Timestamp,
) -> Result<Option<crate::decide::Elsewhere>, ClusterError> {
    let none = PhoneMigrationStatus::default();
    let reading = look::read_code(ctx, object).await?;
    let status = object.status.as_ref().unwrap_or(&none);
    let code = reading.usable_at(now);
    let number = &object.spec.phone_number;
    Ok(code.and_then(|code| ctx.spent.elsewhere(&code.fingerprint, number, status, now)))
}

async fn write(ctx: &Context, object: &PhoneMigration, fact: &Fact) -> Result<(), ClusterError> {
    let look = look::circumstances(object, clock::now().wall);
    let Some(new) = look::changed(object, fact, &look) else {
        return Ok(());
    };
    let stored = look::write(ctx, object, new, fact).await?;
    if let (Some(id), Some(status)) = (attempt_id(&stored), &stored.status) {
        remember(ctx, &id.1, status);
    }
    Ok(())
}

/// The resource and its current attempt: what a read was about.
pub fn attempt_id(object: &PhoneMigration) -> Option<(String, String)> {
    let attempt = object.status.as_ref()?.attempt.as_ref()?;
    Some((object.metadata.uid.clone()?, attempt.id.clone()))
}
