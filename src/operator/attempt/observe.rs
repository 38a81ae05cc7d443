//! Observes every open entry without a task here, whichever process made it and whether or not its
//! resource exists. This module sends nothing but status reads.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::conclude::{settle_unsent, without_resource};
use super::record::{Attempted, Recorded, record};
use super::rules;
use super::status_read;
use crate::api::code_ledger::LedgerEntry;
use crate::api::object_key::ObjectKey;
use crate::clock;
use crate::domain::ledger::Ended;
use crate::domain::reads::ReadResult;
use crate::operator::state::context::Context;
use crate::quota::Priority;

/// Longest wait of an observation for its slot; the operator repeats the observation later.
const SLOT_WITHIN: Duration = Duration::from_secs(30);

/// Observes as long as the process lives, while it leads.
pub async fn run(ctx: Arc<Context>) {
    loop {
        let now = clock::now();
        let next = match ctx.activity.may_act() {
            true => start_due(&ctx, now),
            false => None,
        };
        ctx.observations.wait(next, now.wall).await;
    }
}

/// Starts the reads that are due; returns when the next one is due.
fn start_due(ctx: &Arc<Context>, now: clock::Now) -> Option<jiff::Timestamp> {
    let open = ctx.index.open();
    let numbers: HashSet<&str> = open.iter().map(|(number, _)| number.as_str()).collect();
    ctx.observations.retain(|number| numbers.contains(number));
    let mut next = None;
    for (number, entry) in open {
        if ctx.tasks.runs_for_number(&number) {
            continue;
        }
        let at = ctx.observations.due(&number, &entry, now);
        let settled = is_settled_here(ctx, &number, &entry);
        if at > now.wall && !settled {
            next = Some(next.map_or(at, |next: jiff::Timestamp| next.min(at)));
            continue;
        }
        let task = observe(Arc::clone(ctx), number.clone(), entry);
        let (after, its_number) = (Arc::clone(ctx), number.clone());
        let ended = move || {
            after.wake_all(&after.numbers.of(&its_number));
            after.observations.notify();
        };
        ctx.tasks.start(&number, "", task, ended);
    }
    next
}

/// True if this process knows without a read how the entry ended.
fn is_settled_here(ctx: &Context, number: &str, entry: &LedgerEntry) -> bool {
    ctx.abandoned.contains(&entry.attempt_id) || outcome_here(ctx, number, entry).is_some()
}

fn outcome_here(ctx: &Context, number: &str, entry: &LedgerEntry) -> Option<Ended> {
    let has_rival = ctx.index.get(number).has_rival(&entry.attempt_id);
    rules::known_end(&ctx.sent.of(number), &entry.attempt_id, has_rival)
}

async fn observe(ctx: Arc<Context>, number: String, entry: LedgerEntry) {
    let attempted = Attempted {
        key: ObjectKey {
            namespace: entry.migration.namespace.clone(),
            name: entry.migration.name.clone(),
        },
        number: number.clone(),
        entry: entry.clone(),
    };
    if ctx.abandoned.contains(&entry.attempt_id) {
        return settle_unsent(&ctx, &attempted).await;
    }
    if let Some(ended) = outcome_here(&ctx, &number, &entry) {
        record(&ctx, &attempted, &ended, None, None).await;
        return;
    }
    let target = crate::cams::Target {
        cust_space_id: &entry.cust_space_id,
        phone_number: &number,
    };
    let read = status_read::read_dated(&ctx, target, Priority::Observe, SLOT_WITHIN, None);
    let (verdict, reply, date) = tokio::select! {
        read = read => read,
        // On shutdown, leave the read to the next process; use the grace period for outcomes that
        // cannot be read again.
        () = ctx.activity.asked_to_stop() => return,
    };
    let result = status_read::result(&verdict, &reply, date);
    let has_rival = ctx.index.get(&number).has_rival(&entry.attempt_id);
    let result = rules::about_entry(result, date, has_rival);
    let now = clock::now();
    let known_for = ctx
        .observations
        .known_for(&number, &entry.attempt_id, now.boot);
    let imported_for = known_for.filter(|_| entry.imported);
    let ended = rules::after_observation(&entry, &result, imported_for, ctx.validity, now.wall);
    let overdue = rules::overdue(&entry, &result, now.wall);
    if !matches!(result, ReadResult::NotMade) {
        let answered = !matches!(result, ReadResult::Failed(_));
        let id = &entry.attempt_id;
        ctx.observations
            .made(&number, id, answered, overdue, now.wall);
    }
    if let Some(ended) = ended {
        let recorded = record(&ctx, &attempted, &ended, None, None).await;
        let exists = ctx.numbers.of(&number).contains(&attempted.key);
        if let Recorded::Stored(ledger) = recorded
            && !exists
            && let Some(entry) = ledger.entry(&attempted.entry.attempt_id)
        {
            without_resource(&ctx, entry);
        }
    }
}
