//! One look at a resource: gather what a decision depends on, decide, and write what status is
//! to say. Shared by reconcile and by the attempt, which looks again right before it claims.

use jiff::Timestamp;

use crate::clock;
use crate::cluster::{ClusterError, Key};
use crate::code::CodeReading;
use crate::context::{ACCOUNT, Context};
use crate::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::decide::{Decision, Next, Observed, TurnState, decide, is_open, requested};
use crate::events;
use crate::fact::{Fact, QueuedFor};
use crate::status::{Look, apply};

/// Namespace and name of an object from the API server.
pub fn key_of(object: &PhoneMigration) -> Option<Key> {
    Some(Key {
        namespace: object.metadata.namespace.clone()?,
        name: object.metadata.name.clone()?,
    })
}

/// The uid, empty if the object has none (it then never matches).
pub fn uid_of(object: &PhoneMigration) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

/// Reads the Secret that `object` names and notes what was found.
///
/// # Errors
/// When the API server does not answer.
pub async fn read_code(
    ctx: &Context,
    object: &PhoneMigration,
) -> Result<CodeReading, ClusterError> {
    let Some(key) = key_of(object) else {
        return Ok(CodeReading::SecretNotFound);
    };
    let values = ctx
        .cluster
        .secret(&key.namespace, &object.spec.verify_code_secret_ref)
        .await?;
    let now = clock::now();
    ctx.visits
        .secret_seen(&key, values.as_ref().map(|v| v.version.clone()), now.boot);
    let reading = CodeReading::new(
        values,
        &ctx.fingerprint_key,
        ACCOUNT,
        &object.spec.phone_number,
    );
    let usable = reading.usable_at(now.wall).is_some();
    ctx.wake_all(&ctx.siblings.usable_code(uid_of(object), usable));
    Ok(reading)
}

/// Decides on what is known without any request.
pub fn decide_on(
    ctx: &Context,
    object: &PhoneMigration,
    code: Option<&CodeReading>,
    turn: TurnState,
    now: Timestamp,
) -> Decision {
    let none = PhoneMigrationStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    let elsewhere = code
        .and_then(|reading| reading.usable_at(now))
        .and_then(|code| {
            let number = &object.spec.phone_number;
            ctx.spent.elsewhere(&code.fingerprint, number, status, now)
        });
    let reads = key_of(object).map_or_else(
        || crate::reads::Reads::none(now),
        |key| ctx.visits.reads(&key, object.status.as_ref(), now),
    );
    let observed = Observed {
        object,
        code,
        owner: ctx.siblings.owner_for(object),
        elsewhere,
        turn,
        hold: ctx.quota.hold().map(|hold| hold.cause),
        reads: &reads,
        validity: ctx.validity,
    };
    with_estimate(ctx, object, decide(&observed, now), now)
}

/// Says how long a wait for the turn may last, and comes back when there is more to say.
fn with_estimate(
    ctx: &Context,
    object: &PhoneMigration,
    decision: Decision,
    now: Timestamp,
) -> Decision {
    let (Some(Fact::Queued(QueuedFor::Turn)), Next::Stay(until)) = (&decision.fact, &decision.next)
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
        fact: Some(Fact::Queued(said)),
        next: Next::Stay([*until, again].into_iter().flatten().min()),
    }
}

/// Decides, reading the Secret if the decision asks for it.
///
/// # Errors
/// When the Secret cannot be read.
pub async fn look(
    ctx: &Context,
    object: &PhoneMigration,
    mut code: Option<CodeReading>,
    turn: TurnState,
) -> Result<(Decision, Option<CodeReading>), ClusterError> {
    let mut decision = decide_on(ctx, object, code.as_ref(), turn, clock::now().wall);
    if decision.next == Next::ReadCode {
        code = Some(read_code(ctx, object).await?);
        decision = decide_on(ctx, object, code.as_ref(), turn, clock::now().wall);
    }
    Ok((decision, code))
}

/// The circumstances of a look at `object` that handles its annotation, and its retryToken
/// unless an attempt is open.
pub fn circumstances(object: &PhoneMigration, now: Timestamp) -> Look {
    let none = PhoneMigrationStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    Look {
        generation: object.metadata.generation.unwrap_or_default(),
        now,
        retry_token: (!is_open(status)).then(|| object.spec.retry_token.clone()),
        requested_at: requested(object, status),
    }
}

/// The status that `fact` makes of `object`; `None` if it says so already.
pub fn changed(object: &PhoneMigration, fact: &Fact, look: &Look) -> Option<PhoneMigrationStatus> {
    let old = object.status.clone().unwrap_or_default();
    let new = apply(&old, fact, look);
    (new != old).then_some(new)
}

/// Writes `new` over the status of `object`, on the condition that nothing changed since it was
/// read; notes the version and has the Event published.
///
/// # Errors
/// As `Cluster::replace_status`.
pub async fn write(
    ctx: &Context,
    object: &PhoneMigration,
    new: PhoneMigrationStatus,
    fact: &Fact,
) -> Result<PhoneMigration, ClusterError> {
    let mut next = object.clone();
    next.status = Some(new);
    let stored = ctx.cluster.replace_status(&next).await?;
    written(ctx, object, &stored, fact);
    Ok(stored)
}

/// What follows a write of `fact` over the status of `object` that became `stored`.
pub fn written(ctx: &Context, object: &PhoneMigration, stored: &PhoneMigration, fact: &Fact) {
    let old = object.status.clone().unwrap_or_default();
    let now = stored.status.clone().unwrap_or_default();
    note(ctx, stored);
    tracing::info!(
        object = %key_of(stored).map(|k| k.to_string()).unwrap_or_default(),
        attempt = now.attempt.as_ref().map(|a| a.id.as_str()),
        request = now.request_id.as_deref(),
        code = now.error_code.as_deref(),
        reason = now.reason.as_deref(),
        "Status written"
    );
    if let Some(event) = events::event(&old, &now, fact) {
        ctx.events.put(event, stored);
    }
}

/// Takes in an object that was read or written live.
pub fn note(ctx: &Context, object: &PhoneMigration) {
    if let Some(key) = key_of(object) {
        ctx.visits.handled(&key, object);
    }
    ctx.wake_all(&ctx.siblings.updated(object));
}
