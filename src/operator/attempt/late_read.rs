//! Status reads for one resource: a final unknown may still have succeeded, a refusal may hide
//! success, an Id may be missing. This module sends nothing but reads.

use std::sync::Arc;
use std::time::Duration;

use super::record::{Attempted, Recorded, record};
use super::rules::{self, Adoption};
use super::status_read;
use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::api::reason::Outcome as EntryOutcome;
use crate::api::shown_number::ShownNumber;
use crate::clock;
use crate::cluster::ClusterError;
use crate::domain::decide::Permit;
use crate::domain::fact::{CamsResult, Fact, VerifiedBy};
use crate::domain::ledger::{Ended, Ledger, import};
use crate::domain::reads::{Purpose, ReadResult};
use crate::domain::status::UserRequest;
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::{subject, uid_of};
use crate::operator::state::ledgers;
use crate::operator::state::status_writer::{Outcome, Showing, note, show};
use crate::quota::Priority;
use crate::telemetry::metrics::Task;

/// Longest wait of a read for its slot; the operator repeats the read later.
const SLOT_WITHIN: Duration = Duration::from_secs(30);
/// Pause after a read that was not made.
const PAUSE: Duration = Duration::from_secs(5);

/// Makes one read for one resource, and handles its result.
pub async fn run(ctx: Arc<Context>, key: ObjectKey, purpose: Purpose) {
    match read(&ctx, &key, purpose).await {
        Ok(()) => {}
        Err(ClusterError::NotFound) => ctx.forget(&key),
        Err(error) => {
            let delay = ctx.memory.failed(&key, clock::boot());
            ctx.metrics.resources.task_failure(Task::Observation);
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Status read not finished");
        }
    }
}

async fn read(ctx: &Context, key: &ObjectKey, purpose: Purpose) -> Result<(), ClusterError> {
    let object = ctx.cluster.get(key).await?;
    note(ctx, &object);
    let number = &object.spec.phone_number;
    let live = ledgers::read(ctx, number).await?;
    let now = clock::now().wall;
    let ledger = import(
        live.ledger,
        &ctx.sent.of(number),
        Some(&object),
        ctx.validity,
        now,
    );
    let target = status_read::target(&object);
    let read = status_read::read_dated(ctx, target, Priority::Observe, SLOT_WITHIN, None);
    let (verdict, reply, date) = tokio::select! {
        read = read => read,
        // On shutdown, leave the read to the next process; use the grace period for outcomes that
        // cannot be read again.
        () = ctx.activity.asked_to_stop() => return Ok(()),
    };
    let result = status_read::result(&verdict, &reply, date);
    let now = clock::now();
    if matches!(result, ReadResult::NotMade) {
        ctx.memory.set_due(key, Some(now.boot + PAUSE));
        return Ok(());
    }
    let answered = !matches!(result, ReadResult::Failed(_));
    let about = subject(&object, &ledger);
    ctx.memory.read_made(key, &about, answered, now.wall);
    ctx.memory.read_for_request(key);
    if purpose == Purpose::MissingId && matches!(result, ReadResult::NotVerified { .. }) {
        ctx.memory.read_denied(key, &about, now.wall);
    }
    ctx.memory.set_due(key, Some(now.boot));
    if let ReadResult::Verified {
        id,
        phone_number,
        request_id,
    } = result
    {
        let verified = Verified {
            id,
            phone_number,
            request_id,
        };
        conclude(ctx, key, object, purpose, ledger, verified).await;
    }
    Ok(())
}

/// The verification that a read found.
struct Verified {
    id: Option<String>,
    phone_number: Option<ShownNumber>,
    request_id: Option<String>,
}

/// Whether this resource may show a verification that a user's read found. Not if the code of
/// another existing resource verified the number, and not while an attempt is open, since its
/// observation decides. An unusable ledger has no entries, so only status can show the answer.
fn is_ours(ctx: &Context, object: &PhoneMigration, ledger: &Ledger) -> bool {
    if ledger.unusable.is_some() {
        return true;
    }
    let number = &object.spec.phone_number;
    let neighbours = ctx.numbers.neighbours(number, uid_of(object));
    match rules::adoption(object, ledger, &neighbours) {
        Adoption::Adopt(_) => true,
        Adoption::Duplicate(_) | Adoption::Wait => false,
    }
}

async fn conclude(
    ctx: &Context,
    key: &ObjectKey,
    object: PhoneMigration,
    purpose: Purpose,
    ledger: Ledger,
    verified: Verified,
) {
    let uid = uid_of(&object).to_owned();
    if purpose == Purpose::Asked && !is_ours(ctx, &object, &ledger) {
        return;
    }
    let entry = ledger
        .own_verified(&uid)
        .or(ledger.own_spent(&uid))
        .cloned();
    let known = entry.as_ref().and_then(|entry| entry.outcome);
    // The read only adds the Id: the success and the RequestId of our own call stay.
    let by_call = known == Some(EntryOutcome::Accepted);
    let mut shown = ledger;
    if let Some(entry) = entry {
        let ended = match by_call {
            true => Ended {
                id: verified.id.clone(),
                ..Ended::of(EntryOutcome::Accepted)
            },
            false => rules::adopted(verified.id.clone(), verified.request_id.clone()),
        };
        let attempted = Attempted {
            key: key.clone(),
            number: object.spec.phone_number.clone(),
            entry,
        };
        if let Recorded::Stored(ledger) = record(ctx, &attempted, &ended, None, None).await {
            shown = ledger;
        }
    }
    let fact = Fact::Result(CamsResult::Verified {
        by: verified_by(purpose, known),
        id: verified.id,
        phone_number: verified.phone_number,
        request_id: verified.request_id.filter(|_| !by_call),
    });
    let outcome = Outcome {
        key,
        uid: &uid,
        fact: &fact,
        ledger: &shown,
        generation: object.metadata.generation.unwrap_or_default(),
        request: UserRequest::of(&object, Permit::default()),
    };
    match show(ctx, &outcome, Some(object.clone())).await {
        Showing::Shown | Showing::Gone => {}
        // An immediate reconcile would repeat the same read.
        Showing::Later => ctx.memory.not_shown(key, clock::boot()),
    }
}

/// What verified the number, if this read found it verified; `known`: the outcome of the resource's
/// newest entry before it.
fn verified_by(purpose: Purpose, known: Option<EntryOutcome>) -> VerifiedBy {
    match (known, purpose) {
        (Some(EntryOutcome::Accepted), _) => VerifiedBy::Call,
        (None, Purpose::MissingId | Purpose::Asked) => VerifiedBy::ReadBefore,
        (
            _,
            Purpose::MissingId
            | Purpose::Late
            | Purpose::MakeUp
            | Purpose::OtherVerified
            | Purpose::Asked,
        ) => VerifiedBy::ReadAfter,
    }
}
