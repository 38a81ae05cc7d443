//! Stores in a number's ledger what only a status or this process's memory knows of its codes, and
//! settles claims that were never sent.

use std::sync::Arc;

use super::conclude::settle_unsent;
use super::record::Attempted;
use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::clock;
use crate::cluster::ClusterError;
use crate::cluster::ledgers::{LedgerRead, Replaces, Written};
use crate::domain::ledger::{import, ledger_name, put_back};
use crate::operator::state::context::Context;
use crate::operator::state::ledgers::{self, LiveLedger};
use crate::telemetry::metrics::Task;

/// Stores the attempts that only the status of `object` knows.
pub async fn run(ctx: Arc<Context>, key: ObjectKey, object: PhoneMigration) {
    let number = object.spec.phone_number.clone();
    match store(&ctx, &number, Some(&object)).await {
        // Another write came first: the next reconcile decides on its result.
        Ok(true) | Err(ClusterError::Conflict) => {}
        // Back off: an immediate reconcile would find the same.
        Ok(false) => {
            ctx.memory.failed(&key, clock::boot());
        }
        Err(error) => {
            let delay = ctx.memory.failed(&key, clock::boot());
            ctx.metrics.resources.task_failure(Task::Observation);
            tracing::warn!(object = %key, %error, retry_after = ?delay,
                "What status knows is not in the CodeLedger yet");
        }
    }
}

/// Stores the attempts that memory or the status of `object` knows and the number's ledger lacks.
/// False if the ledger has no room for them.
///
/// # Errors
/// When the ledger cannot be read, or cannot be written.
pub async fn store(
    ctx: &Context,
    number: &str,
    object: Option<&PhoneMigration>,
) -> Result<bool, ClusterError> {
    let LiveLedger {
        object: stored,
        ledger,
    } = ledgers::read(ctx, number).await?;
    let now = clock::now().wall;
    let sent = ctx.sent.of(number);
    let known = import(ledger, &sent, object, ctx.validity, now);
    let abandoned = |id: &str| ctx.abandoned.contains(id);
    let Some(fields) = put_back(&known, number, &abandoned, now) else {
        return Ok(known.unstored.is_empty());
    };
    let asked_at = clock::boot();
    let replaces = Replaces::version_of(stored.as_deref());
    match ctx
        .ledgers
        .write(&ledger_name(number), &replaces, fields)
        .await
    {
        Written::Stored(object) => {
            ledgers::take_in(ctx, number, LedgerRead::Stored(object), asked_at);
            tracing::info!(
                ledger = ledger_name(number),
                "CodeLedger filled from what is known"
            );
            Ok(true)
        }
        Written::Conflict => Err(ClusterError::Conflict),
        Written::Refused(status) => Err(ClusterError::Failed(status)),
        Written::Unauthorized => Err(ClusterError::Unauthorized),
        Written::Unclear(error) => Err(error),
    }
}

/// Records that the open entry of this number was never sent, if this process knows that.
pub async fn settle(ctx: Arc<Context>, key: ObjectKey, number: String) {
    let Ok(live) = ledgers::read(&ctx, &number).await else {
        ctx.memory.failed(&key, clock::boot());
        return;
    };
    let open = live.ledger.open();
    if let Some(entry) = open.filter(|entry| ctx.abandoned.contains(&entry.attempt_id)) {
        let attempted = Attempted {
            key,
            number,
            entry: entry.clone(),
        };
        settle_unsent(&ctx, &attempted).await;
    }
}
