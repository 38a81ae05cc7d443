//! Turns an answer into the attempt's outcome, and writes it into the ledger, then into status.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;

use super::record::{Attempted, Recorded, record};
use super::rules::{self, Concluded};
use super::{Claimed, next_probe, status_read};
use crate::api::code_ledger::LedgerEntry;
use crate::api::crd::PhoneMigration;
use crate::api::reason::Outcome as EntryOutcome;
use crate::cams::Answer;
use crate::clock;
use crate::domain::decide::Permit;
use crate::domain::fact::ReleaseCause;
use crate::domain::ledger::{Ended, Ledger, as_if_recorded};
use crate::domain::reads::ReadResult;
use crate::domain::status::present;
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::{subject, uid_of};
use crate::operator::state::status_writer::{Outcome, Showing, show};
use crate::quota::Priority;

/// Longest wait for the read after a refusal, including the wait for its slot.
const READ_AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// Records the outcome of the attempt: first in memory, then in the ledger, then in status.
pub(super) async fn conclude(ctx: &Context, claimed: Claimed, answer: Answer) {
    let concluded = rules::conclusion(answer);
    let now = clock::now().wall;
    let number = claimed.number().to_owned();
    let id = &claimed.entry.attempt_id;
    ctx.sent.end(&number, id, &concluded.ended, now);
    let attempted = Attempted {
        key: claimed.key.clone(),
        number,
        entry: claimed.entry.clone(),
    };
    let next = concluded
        .release_cause
        .and_then(|release_cause| next_attempt(ctx, &claimed, release_cause));
    let ending = Ending {
        claimed: &claimed,
        concluded: &concluded,
        next,
    };
    let slow = ending.show_as_if_recorded(ctx);
    let known = Some(claimed.stored.clone());
    let recorded = record(
        ctx,
        &attempted,
        &concluded.ended,
        known,
        Some(Box::pin(slow)),
    )
    .await;
    let refused = matches!(
        concluded.ended.outcome,
        EntryOutcome::Refused | EntryOutcome::RequestRefused
    );
    let recorded = match recorded {
        Recorded::Stored(ledger) if refused => {
            let ledger = after_refusal(ctx, &attempted, &claimed, ledger).await;
            Recorded::Stored(ledger)
        }
        other => other,
    };
    let ledger = match &recorded {
        Recorded::Stored(ledger) => ledger.clone(),
        Recorded::Withheld => {
            as_if_recorded(&Ledger::default(), &claimed.entry, &concluded.ended, now)
        }
    };
    ending.show(ctx, &ledger).await;
}

/// When a released attempt is made again, for the release causes whose status shows a time.
fn next_attempt(
    ctx: &Context,
    claimed: &Claimed,
    release_cause: ReleaseCause,
) -> Option<jiff::Timestamp> {
    let now = clock::now();
    match release_cause {
        ReleaseCause::Account => Some(now.wall + ctx.memory.next_account_back_off(&claimed.key)),
        ReleaseCause::Throttled | ReleaseCause::Credentials | ReleaseCause::Clock => {
            Some(next_probe(ctx, now))
        }
        ReleaseCause::NotSent => None,
    }
}

/// Reads the number's status after recording a refusal and before showing it: it may hide success.
async fn after_refusal(
    ctx: &Context,
    attempted: &Attempted,
    claimed: &Claimed,
    ledger: Ledger,
) -> Ledger {
    let target = status_read::target(&claimed.object);
    let read = status_read::read(
        ctx,
        target,
        Priority::BeforeRecord,
        READ_AFTER_REFUSAL,
        None,
    );
    let result = match tokio::time::timeout(READ_AFTER_REFUSAL, read).await {
        Ok((verdict, reply)) => status_read::result(&verdict, &reply, None),
        Err(_) => ReadResult::Failed("Timeout".into()),
    };
    let about = subject(&claimed.object, &ledger);
    let now = clock::now().wall;
    match &result {
        ReadResult::Failed(_) | ReadResult::NotMade => {
            ctx.memory.make_up_read(&claimed.key, &about, now);
        }
        ReadResult::Verified { .. } | ReadResult::NotVerified { .. } => {
            ctx.memory.read_made(&claimed.key, &about, true, now);
        }
    }
    let Some(adopted) = rules::after_refusal(&result) else {
        return ledger;
    };
    // If the ledger is lost now, the entry is put back as it was recorded.
    let recorded = ledger.entry(&attempted.entry.attempt_id);
    let attempted = Attempted {
        entry: recorded.unwrap_or(&attempted.entry).clone(),
        ..attempted.clone()
    };
    match record(ctx, &attempted, &adopted, None, None).await {
        Recorded::Stored(adopted) => adopted,
        Recorded::Withheld => ledger,
    }
}

/// The end of an attempt, to be shown in the status of its resource.
struct Ending<'a> {
    claimed: &'a Claimed,
    concluded: &'a Concluded,
    next: Option<jiff::Timestamp>,
}

impl Ending<'_> {
    /// Shows the outcome while the ledger cannot be written: status is the second place for it.
    async fn show_as_if_recorded(&self, ctx: &Context) {
        let now = clock::now().wall;
        let stored = Ledger::stored(Some(&self.claimed.stored), self.claimed.number(), now);
        let ledger = as_if_recorded(&stored, &self.claimed.entry, &self.concluded.ended, now);
        self.show(ctx, &ledger).await;
    }

    async fn show(&self, ctx: &Context, ledger: &Ledger) {
        let claimed = self.claimed;
        let stored = ledger.entry(&claimed.entry.attempt_id);
        let entry = stored.unwrap_or(&claimed.entry);
        // A released attempt does not use up its permit: the same permit allows the next attempt.
        let mut request = claimed.request.clone();
        if entry.is_released() {
            request.permit = Permit::default();
        }
        let permit = claimed.request.permit;
        let fact = self
            .concluded
            .fact(&claimed.object, ledger, entry, permit, self.next);
        let outcome = Outcome {
            key: &claimed.key,
            uid: uid_of(&claimed.object),
            fact: &fact,
            ledger,
            generation: claimed.entry.migration.generation,
            request,
        };
        let showing = show(ctx, &outcome, Some(claimed.object.clone())).await;
        claimed.span.record("outcome", outcome_word(entry));
        match showing {
            Showing::Shown => {}
            Showing::Gone => without_resource(ctx, entry),
            Showing::Later => ctx.memory.not_shown(&claimed.key, clock::boot()),
        }
    }
}

fn outcome_word(entry: &LedgerEntry) -> &'static str {
    entry.outcome.map_or("none", |outcome| outcome.as_str())
}

/// Reports the outcome of an attempt whose resource is gone, by an Event and a log line. The ledger
/// has the outcome, too.
pub(super) fn without_resource(ctx: &Context, entry: &LedgerEntry) {
    let part = |name: &str, value: &Option<String>| {
        let value = value.as_ref();
        value.map_or_else(String::new, |value| format!(", {name} {value}"))
    };
    let words = format!(
        "{}{}{}{}",
        outcome_word(entry),
        part("Id", &entry.id),
        part("Code", &entry.error_code),
        part("RequestId", &entry.request_id)
    );
    let migration = &entry.migration;
    tracing::error!(object = %format!("{}/{}", migration.namespace, migration.name),
        uid = migration.uid, attempt = entry.attempt_id, outcome = %words,
        "Outcome of an attempt whose resource is gone");
    let object = ObjectReference {
        api_version: Some(PhoneMigration::api_version(&()).into_owned()),
        kind: Some(PhoneMigration::kind(&()).into_owned()),
        namespace: Some(migration.namespace.clone()),
        name: Some(migration.name.clone()),
        uid: Some(migration.uid.clone()),
        ..ObjectReference::default()
    };
    ctx.events.put_on(present::without_resource(&words), object);
}

/// Records NotSent for a claim that appeared although this process never sent it.
pub async fn settle_unsent(ctx: &Context, attempted: &Attempted) {
    let ended = Ended {
        error_code: Some("NotSent".into()),
        ..Ended::of(EntryOutcome::NotSent)
    };
    record(ctx, attempted, &ended, None, None).await;
    ctx.abandoned.remove(&attempted.entry.attempt_id);
}
