//! Steps 7 and 8 of the protocol: what an answer makes of the attempt; record or release it.

use std::time::Duration;

use super::next_probe;
use crate::cams::{Answer, BlockCause, NotSentCause, Refusal, RefusalKind, Verdict};
use crate::clock::{self, Now};
use crate::code::Code;
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::fact::{Fact, Setback, Told, VerifiedBy};
use crate::look::{self, uid_of};
use crate::observe;
use crate::quota::Priority;
use crate::reads::{ReadResult, final_at};
use crate::reason::Outcome;
use crate::record::{Owned, Recorded, record};

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
) {
    let told = Told {
        code: answer.code.clone().or_else(|| own_word(&answer.verdict)),
        message: answer.message.clone(),
        request_id: answer.request_id.clone(),
    };
    let fact = match answer.verdict {
        Verdict::Accepted { id, phone_number } => {
            ctx.spent.end(&owned.attempt_id, Outcome::Accepted, &told);
            Fact::Verified {
                by: VerifiedBy::Call,
                id,
                phone_number,
                request_id: told.request_id,
            }
        }
        Verdict::Refused(Refusal { kind, .. }) => {
            let outcome = match kind {
                RefusalKind::Code => Outcome::Refused,
                RefusalKind::Request => Outcome::RequestRefused,
            };
            ctx.spent.end(&owned.attempt_id, outcome, &told);
            return refused(ctx, owned, object, Fact::Refused { outcome, told }).await;
        }
        Verdict::Unknown(_) => {
            ctx.spent.end(&owned.attempt_id, Outcome::Unknown, &told);
            let until = final_at(signed.wall, ctx.validity) + Duration::from_secs(1);
            Fact::Unknown { told, until }
        }
        Verdict::Throttled { .. } => release(ctx, owned, code, Setback::Throttled, told),
        Verdict::NotSent(_) => release(ctx, owned, code, Setback::NotSent, told),
        Verdict::Blocked(BlockCause::Credentials) => {
            release(ctx, owned, code, Setback::Credentials, told)
        }
        Verdict::Blocked(BlockCause::Account) => release(ctx, owned, code, Setback::Account, told),
        Verdict::Blocked(BlockCause::Clock) => release(ctx, owned, code, Setback::Clock, told),
    };
    record(ctx, owned, object, fact).await;
}

/// The release of an attempt that was certainly not executed. Danger: made only here, by the
/// task that signed, for an answer to its only send, or for a send that never happened.
fn release(ctx: &Context, owned: &Owned, code: &Code, setback: Setback, told: Told) -> Fact {
    ctx.spent.release(&code.fingerprint, &owned.attempt_id);
    let now = clock::now();
    let next = match setback {
        Setback::Account => Some(now.wall + ctx.visits.set_back(&owned.key)),
        Setback::Throttled | Setback::Credentials | Setback::Clock => Some(next_probe(ctx, now)),
        Setback::NotSent => None,
    };
    Fact::Released {
        setback,
        told,
        next,
    }
}

/// A refusal may hide success ("already verified"): the status is read first.
async fn refused(ctx: &Context, owned: &Owned, object: PhoneMigration, refusal: Fact) {
    let read = observe::read(
        ctx,
        &object,
        Priority::BeforeRecord,
        READ_BEFORE_RECORD,
        None,
    );
    let (result, told) = match tokio::time::timeout(READ_BEFORE_RECORD, read).await {
        Ok((verdict, told)) => (observe::result(&verdict, &told, None), told),
        Err(_) => (ReadResult::Failed("Timeout".into()), Told::default()),
    };
    let fact = match &result {
        ReadResult::Verified {
            id, phone_number, ..
        } => Fact::Verified {
            by: VerifiedBy::ReadAfter,
            id: id.clone(),
            phone_number: phone_number.clone(),
            request_id: told.request_id,
        },
        ReadResult::NotVerified { .. } | ReadResult::Failed(_) => refusal,
    };
    let recorded = record(ctx, owned, object, fact).await;
    if let (ReadResult::Failed(_), Recorded::Written(object)) = (result, recorded) {
        ctx.visits
            .make_up_read(&owned.key, object.status.as_ref(), clock::now().wall);
    }
}

/// Our word for an answer that carries no Code.
fn own_word(verdict: &Verdict) -> Option<String> {
    let word = match verdict {
        Verdict::Unknown(cause) => format!("{cause:?}"),
        Verdict::NotSent(NotSentCause::Gate) => "NotSent".to_owned(),
        Verdict::NotSent(cause) => format!("NotSent.{cause:?}"),
        Verdict::Throttled { .. } => "Throttled".to_owned(),
        Verdict::Accepted { .. } | Verdict::Refused(_) | Verdict::Blocked(_) => return None,
    };
    Some(word)
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
    let told = Told {
        code: Some("NotSent".into()),
        ..Told::default()
    };
    record(
        ctx,
        &owned,
        object,
        Fact::Released {
            setback: Setback::NotSent,
            told,
            next: None,
        },
    )
    .await;
}
