//! Steps 7 and 8 of the protocol: what an answer makes of the attempt; record or release it.

use std::time::Duration;

use super::{next_probe, rules};
use crate::cams::Answer;
use crate::clock::{self, Now};
use crate::code::Code;
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::fact::{Fact, Setback, Told};
use crate::look::{self, uid_of};
use crate::quota::Priority;
use crate::reads::ReadResult;
use crate::record::{Owned, Recorded, record};
use crate::status_read;

/// Longest wait for the read before a refusal is recorded, its queue included.
const READ_BEFORE_RECORD: Duration = Duration::from_secs(5);

/// What an answer makes of the attempt; memory first, then status.
pub(super) async fn conclude(
    ctx: &Context,
    owned: &Owned,
    object: PhoneMigration,
    code: &Code,
    signed: Now,
    answer: Answer,
) -> Recorded {
    let (mut fact, told) = rules::conclusion(answer, signed, ctx.validity);
    rules::remember(&ctx.spent, code, &owned.attempt_id, &fact, &told);
    if matches!(fact, Fact::Refused { .. }) {
        return refused(ctx, owned, object, fact).await;
    }
    if let Fact::Released { setback, next, .. } = &mut fact {
        *next = next_attempt(ctx, owned, *setback);
    }
    record(ctx, owned, object, fact).await
}

/// When a released attempt is made again, where status says so.
fn next_attempt(ctx: &Context, owned: &Owned, setback: Setback) -> Option<jiff::Timestamp> {
    let now = clock::now();
    match setback {
        Setback::Account => Some(now.wall + ctx.visits.set_back(&owned.key)),
        Setback::Throttled | Setback::Credentials | Setback::Clock => Some(next_probe(ctx, now)),
        Setback::NotSent => None,
    }
}

/// A refusal may hide success: the status is read first.
async fn refused(ctx: &Context, owned: &Owned, object: PhoneMigration, refusal: Fact) -> Recorded {
    let read = status_read::read(
        ctx,
        &object,
        Priority::BeforeRecord,
        READ_BEFORE_RECORD,
        None,
    );
    let (result, told) = match tokio::time::timeout(READ_BEFORE_RECORD, read).await {
        Ok((verdict, told)) => (status_read::result(&verdict, &told, None), told),
        Err(_) => (ReadResult::Failed("Timeout".into()), Told::default()),
    };
    let fact = rules::after_refusal(refusal, &result, told.request_id);
    let recorded = record(ctx, owned, object, fact).await;
    if let (ReadResult::Failed(_) | ReadResult::NotMade, Recorded::Written(object)) =
        (result, &recorded)
    {
        ctx.visits
            .make_up_read(&owned.key, object.status.as_ref(), clock::now().wall);
    }
    recorded
}

/// A claim that surfaced although this process never sent it.
pub async fn release_unsent(ctx: &Context, object: PhoneMigration) {
    let Some((key, attempt)) = look::key_of(&object).zip(
        object
            .status
            .as_ref()
            .and_then(|status| status.attempt.clone()),
    ) else {
        return;
    };
    let owned = Owned {
        key,
        uid: uid_of(&object).to_owned(),
        attempt_id: attempt.id,
    };
    record(ctx, &owned, object, rules::never_sent()).await;
}
