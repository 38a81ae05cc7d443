//! The only writer of status, and the steps after a write.

use std::time::Duration;

use crate::api::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::api::object_key::ObjectKey;
use crate::clock;
use crate::cluster::ClusterError;
use crate::domain::decide::Permit;
use crate::domain::fact::{CamsResult, Fact};
use crate::domain::ledger::Ledger;
use crate::domain::status::{Stamp, UserRequest, apply, present};
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::uid_of;
use crate::operator::state::memory::conflict_back_off;

/// After this many failures other than conflicts, the next reconcile shows the outcome.
const MOST_FAILURES: u32 = 5;
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Writes the state `fact` into the status of `object`, unless status already shows it, on the
/// condition that nothing changed since `object` was read.
///
/// # Errors
/// As `Cluster::replace_status`.
pub async fn say(
    ctx: &Context,
    object: &PhoneMigration,
    fact: &Fact,
    ledger: &Ledger,
    permit: Permit,
) -> Result<(), ClusterError> {
    let stamp = Stamp::of_reconcile(object, permit, clock::now().wall);
    match apply(object, fact, ledger, &stamp) {
        Some(new) => write(ctx, object, new, fact).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Writes `new` over the status of `object`, remembers the version, and publishes the Event.
async fn write(
    ctx: &Context,
    object: &PhoneMigration,
    new: PhoneMigrationStatus,
    fact: &Fact,
) -> Result<PhoneMigration, ClusterError> {
    let mut next = object.clone();
    next.status = Some(new);
    let stored = ctx.cluster.replace_status(&next).await?;
    if !says_the_same(&stored, &next) {
        // Remember the stored version: a reconcile for it would repeat the same write at once.
        if uid_of(&stored) == uid_of(object) {
            note(ctx, &stored);
        }
        return Err(ClusterError::Altered);
    }
    written(ctx, object, &stored, fact);
    Ok(stored)
}

/// Whether a reply has the status that was written: an older CRD drops fields, and a policy may
/// change them. JSON hides the differences that the API server does not know either.
fn says_the_same(stored: &PhoneMigration, written: &PhoneMigration) -> bool {
    let json = |object: &PhoneMigration| serde_json::to_value(&object.status).ok();
    json(stored) == json(written)
}

/// The steps after a write of `fact` over the status of `object`, which became `stored`.
fn written(ctx: &Context, object: &PhoneMigration, stored: &PhoneMigration, fact: &Fact) {
    let old = object.status.clone().unwrap_or_default();
    let now = stored.status.clone().unwrap_or_default();
    note(ctx, stored);
    tracing::info!(
        object = %ObjectKey::of(stored).map(|k| k.to_string()).unwrap_or_default(),
        attempt = now.attempt.as_ref().map(|a| a.id.as_str()),
        request = now.request_id.as_deref(),
        code = now.error_code.as_deref(),
        reason = now.reason.as_deref(),
        "Status written"
    );
    if let Some(key) = ObjectKey::of(stored) {
        ctx.memory.shown(&key);
        if matches!(fact, Fact::Result(CamsResult::Verified { .. })) {
            ctx.memory.verified(&key);
        }
    }
    if let Some(event) = present::event(&old, &now, fact) {
        ctx.events.put(event, stored);
    }
    if let Fact::Result(CamsResult::Verified {
        phone_number: Some(shown),
        ..
    }) = fact
        && shown.is_other
    {
        ctx.metrics.resources.other_number();
        tracing::warn!(object = %ObjectKey::of(stored).map(|k| k.to_string()).unwrap_or_default(),
            request = now.request_id.as_deref(),
            "CAMS answered for a number that is spelt otherwise: status.phoneNumber shows it");
        ctx.events.put(present::other_number(shown), stored);
    }
}

/// Updates this process's memory from an object that was read or written live.
pub fn note(ctx: &Context, object: &PhoneMigration) {
    if let Some(key) = ObjectKey::of(object) {
        ctx.memory.handled(&key, object);
    }
    ctx.numbers.updated(object);
    let version = object.metadata.resource_version.as_deref();
    ctx.revisions
        .seen(version.and_then(|version| version.parse().ok()));
}

/// The result of showing an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// Status shows it.
    Shown,
    /// The resource is gone. Nothing is lost: the ledger has the outcome.
    Gone,
    /// Not now: the next reconcile, or the next leader, shows it.
    Later,
}

/// An outcome to show.
pub struct Outcome<'a> {
    /// The resource.
    pub key: &'a ObjectKey,
    /// Its uid: another resource may have the same name later.
    pub uid: &'a str,
    /// The state to show.
    pub fact: &'a Fact,
    /// The number's ledger.
    pub ledger: &'a Ledger,
    /// Generation of the spec that the attempt used.
    pub generation: i64,
    /// What the evaluation before the attempt observed.
    pub request: UserRequest,
}

/// Shows an outcome; reads the resource again if it changed. `object` is its newest known version.
pub async fn show(ctx: &Context, outcome: &Outcome<'_>, object: Option<PhoneMigration>) -> Showing {
    let mut object = object;
    let (mut failures, mut conflicts) = (0, 0);
    loop {
        if !ctx.activity.leads() {
            return Showing::Later;
        }
        let result = match object.take() {
            Some(object) => try_show(ctx, outcome, &object).await,
            None => match ctx.cluster.get(outcome.key).await {
                Ok(live) => {
                    note(ctx, &live);
                    try_show(ctx, outcome, &live).await
                }
                Err(error) => Err(error),
            },
        };
        match result {
            Ok(showing) => return showing,
            Err(ClusterError::NotFound) => return Showing::Gone,
            Err(ClusterError::Conflict) => {
                tokio::time::sleep(conflict_back_off(conflicts)).await;
                conflicts += 1;
            }
            Err(error) => {
                ctx.metrics.resources.record_failure(error.status());
                tracing::warn!(object = %outcome.key, %error, "Outcome not shown in status yet");
                failures += 1;
                if failures == MOST_FAILURES {
                    return Showing::Later;
                }
                tokio::time::sleep(FIRST_RETRY * 2u32.pow(failures)).await;
            }
        }
    }
}

async fn try_show(
    ctx: &Context,
    outcome: &Outcome<'_>,
    object: &PhoneMigration,
) -> Result<Showing, ClusterError> {
    if uid_of(object) != outcome.uid {
        return Ok(Showing::Gone);
    }
    let request = outcome.request.clone();
    let stamp = Stamp::of_attempt(outcome.generation, request, clock::now().wall);
    if let Some(new) = apply(object, outcome.fact, outcome.ledger, &stamp) {
        write(ctx, object, new, outcome.fact).await?;
    }
    Ok(Showing::Shown)
}
