//! One attempt, from its turn to its recorded outcome: read, sign, claim, gate, send, record, show.
//!
//! These protections keep a code from being submitted twice, in the order in which they act:
//! 1. The claim: the attempt sends nothing before its own entry is stored in the number's
//!    CodeLedger, written over exactly the version that the decision is based on. Two processes
//!    cannot both hold it, whatever resources, leaders or caches they have.
//! 2. The frozen signature: the attempt signs once, before the claim. A process that wakes up late
//!    cannot sign again, and CAMS refuses a signature that is too old.
//! 3. The gate, at the socket: the connection stands, the slot is held, the signature is young,
//!    the code has not expired, and this process leads, is not stopping and has not sent the code.
//! 4. One send: it consumes the request, and no lower layer repeats it.
//! 5. Release only on proof: the answer says "not executed", or this process did not send.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span, field};

use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::clock::{self, Now};
use crate::cluster::ClusterError;
use crate::domain::code::Code;
use crate::domain::status::UserRequest;
use crate::operator::state::context::Context;
use crate::quota::Turn;
use crate::telemetry::metrics::Task;

mod call;
mod claim;
mod conclude;
pub mod import;
pub mod late_read;
pub mod ledger_hold;
pub mod observe;
mod prepare;
pub mod record;
pub mod rules;
pub mod status_read;
mod submit;
pub mod sweep;

pub use prepare::NotNow;
use prepare::Prepared;

/// Longest wait for a send slot.
const SLOT_WITHIN: Duration = Duration::from_secs(5);

/// Everything that a claimed attempt needs.
struct Claimed {
    key: ObjectKey,
    /// The resource as read before the claim, or after it.
    object: PhoneMigration,
    /// The entry as stored.
    entry: LedgerEntry,
    /// The ledger as stored.
    stored: Box<CodeLedger>,
    /// Set if the attempt must not be sent after all.
    hindrance: Option<&'static str>,
    code: Code,
    signed: Now,
    request: UserRequest,
    span: Span,
}

impl Claimed {
    fn number(&self) -> &str {
        &self.object.spec.phone_number
    }
}

/// The span of one attempt, for its log lines and its trace. It holds no code, key or number. It
/// has the highest level, so that it exists at every log level.
fn span(key: &ObjectKey, attempt_id: &str) -> Span {
    tracing::error_span!(
        "attempt",
        object = %key,
        attempt = attempt_id,
        request = field::Empty,
        code = field::Empty,
        outcome = field::Empty,
    )
}

/// Runs the attempt that `turn` permits for `cached`, the resource as the cache shows it. Returns
/// when the outcome is recorded, or with the decision that the live reads gave instead of a claim.
pub async fn run(
    ctx: Arc<Context>,
    key: ObjectKey,
    cached: PhoneMigration,
    turn: Turn,
) -> Option<NotNow> {
    let submission = crate::cams::Action::ChatappMigrationVerified;
    ctx.metrics.account.waited(submission, turn.waited());
    let _work = ctx.metrics.workqueue.begun(turn.waited());
    match prepare::prepare(&ctx, &key, &cached, turn).await {
        Ok(Prepared::Claimed(claimed, request, turn)) => {
            let span = claimed.span.clone();
            let sent = submit::submit(&ctx, *claimed, request, turn);
            sent.instrument(span).await;
            None
        }
        Ok(Prepared::NotNow(instead)) => instead.map(|instead| *instead),
        Err(ClusterError::NotFound) => {
            ctx.forget(&key);
            None
        }
        Err(error) => {
            let delay = ctx.memory.failed(&key, clock::boot());
            ctx.metrics.resources.task_failure(Task::Attempt);
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Attempt not begun");
            None
        }
    }
}

/// When the account is tried again: the next probe of its hold or the end of its pause, if later.
fn next_probe(ctx: &Context, now: Now) -> jiff::Timestamp {
    let hold = ctx.quota.hold().map(|hold| hold.next_probe);
    let at = hold
        .into_iter()
        .chain(ctx.quota.paused_until())
        .max()
        .unwrap_or(now.boot);
    now.wall + at.saturating_sub(now.boot)
}
