//! Sweeps all ledgers when leadership starts, every six hours, and after a restore of etcd. A sweep
//! fills the index, puts back what this process knows, has missing outcomes shown in status, and
//! deletes ledgers past their retention. No claim waits for a sweep.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::import;
use super::ledger_hold;
use super::record::{Attempted, record};
use crate::api::code_ledger::CodeLedger;
use crate::api::object_key::ObjectKey;
use crate::clock::{self, BootTime};
use crate::cluster::ClusterError;
use crate::cluster::ledgers::LedgerRead;
use crate::domain::ledger::{Ended, Ledger, is_past_retention, ledger_name};
use crate::operator::state::context::Context;
use crate::operator::state::ledgers;

/// Pause between two sweeps.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// Pause after a failed sweep.
const RETRY: Duration = Duration::from_secs(10);
/// Pause between two deletions.
const BETWEEN_DELETIONS: Duration = Duration::from_secs(1);

/// Sweeps as long as the process lives. `leads` becomes true when leadership starts.
pub async fn run(ctx: Arc<Context>, mut leads: watch::Receiver<bool>) {
    let mut restores = ctx.revisions.subscribe();
    loop {
        let mut pause = EVERY;
        if *leads.borrow_and_update() {
            ledger_hold::check(&ctx).await;
        }
        put_back_sent(&ctx).await;
        ctx.ledger_back_offs.forget_past(clock::boot());
        if ctx.activity.leads() {
            match sweep(&ctx).await {
                Ok(count) => tracing::debug!(ledgers = count, "CodeLedgers swept"),
                Err(error) => {
                    tracing::warn!(namespace = ctx.ledgers.namespace(), %error,
                        "CodeLedgers cannot be listed, trying again");
                    pause = RETRY;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Ok(()) = restores.changed() => {}
            changed = leads.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
        }
    }
}

/// Puts back what this process has sent and a lost or restored ledger lacks.
///
/// Each number has a task of its own, unless one already runs for it: a ledger that cannot be
/// written does not block the others.
async fn put_back_sent(ctx: &Arc<Context>) {
    for number in ctx.sent.numbers() {
        let forgotten = !ctx.numbers.has(&number) && is_old(ctx, &number);
        if forgotten {
            ctx.sent.forget(&number);
            continue;
        }
        let (within, after) = (Arc::clone(ctx), Arc::clone(ctx));
        let (its, name) = (number.clone(), number.clone());
        let task = async move {
            if let Err(error) = put_back_number(&within, &its).await {
                tracing::warn!(ledger = ledger_name(&its), %error,
                    "What this process sent is not in the CodeLedger yet");
            }
        };
        let ended = move || after.wake_all(&after.numbers.of(&name));
        ctx.tasks.start(&number, "", task, ended);
    }
}

async fn put_back_number(ctx: &Context, number: &str) -> Result<(), ClusterError> {
    import::store(ctx, number, None).await?;
    let ledger = ctx.index.get(number);
    for sent in ctx.sent.of(number) {
        let Some(ended) = Ended::of_entry(&sent) else {
            continue;
        };
        let known = ledger.entry(&sent.attempt_id);
        if known.is_none_or(|known| !ended.outcome.may_replace(known.outcome)) {
            continue;
        }
        let attempted = Attempted {
            key: ObjectKey {
                namespace: sent.migration.namespace.clone(),
                name: sent.migration.name.clone(),
            },
            number: number.to_owned(),
            entry: sent,
        };
        record(ctx, &attempted, &ended, None, None).await;
    }
    Ok(())
}

fn is_old(ctx: &Context, number: &str) -> bool {
    let ledger = Ledger {
        entries: ctx.sent.of(number),
        ..Ledger::default()
    };
    is_past_retention(&ledger, clock::now().wall)
}

/// Lists and indexes every ledger; returns how many there are.
async fn sweep(ctx: &Context) -> Result<usize, ClusterError> {
    let begun = clock::boot();
    let mut from: Option<String> = None;
    let mut count = 0;
    let mut old = Vec::new();
    loop {
        let asked_at = clock::boot();
        let page = ctx.ledgers.list(from.as_deref()).await?;
        for (name, read) in page.items {
            count += 1;
            old.extend(take_in(ctx, &name, read, asked_at));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    for number in ctx.index.retain_noted_since(begun) {
        ctx.wake_all(&ctx.numbers.of(&number));
    }
    ctx.observations.notify();
    if ctx.views.all_listed() {
        delete(ctx, old).await;
    }
    Ok(count)
}

/// Indexes one ledger; returns it if it is past its retention.
fn take_in(ctx: &Context, name: &str, read: LedgerRead, asked_at: BootTime) -> Option<CodeLedger> {
    let LedgerRead::Stored(object) = read else {
        tracing::error!(
            ledger = name,
            "This CodeLedger cannot be read by this version: nothing is sent for its number"
        );
        return None;
    };
    let number = object.spec.spec.phone_number.clone();
    // A ledger stored under a wrong name belongs to no number.
    if ledger_name(&number) != name {
        return None;
    }
    let live = ledgers::take_in(ctx, &number, LedgerRead::Stored(object), asked_at);
    let is_ours = |namespace: &str| ctx.watches(namespace);
    let all_watched = live
        .ledger
        .entries
        .iter()
        .all(|e| is_ours(&e.migration.namespace));
    let now = clock::now().wall;
    let is_old = all_watched && is_past_retention(&live.ledger, now);
    live.object.filter(|_| is_old).map(|object| *object)
}

/// Deletes ledgers whose number has no watched resource any more.
async fn delete(ctx: &Context, old: Vec<CodeLedger>) {
    for object in old {
        let number = &object.spec.spec.phone_number;
        if ctx.numbers.has(number) || !ctx.activity.may_act() {
            continue;
        }
        match ctx.ledgers.delete(&object).await {
            Ok(()) => {
                ctx.index.forget(number);
                tracing::info!(
                    ledger = ledger_name(number),
                    "CodeLedger deleted: no PhoneMigration of its number for 30 days after its last code"
                );
            }
            Err(error) => tracing::debug!(ledger = ledger_name(number), %error, "CodeLedger kept"),
        }
        tokio::time::sleep(BETWEEN_DELETIONS).await;
    }
}
