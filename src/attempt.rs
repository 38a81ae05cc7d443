//! One attempt, from its turn to its recorded outcome: look, sign, claim, gate, send, record.
//!
//! What keeps a code from being submitted twice, in the order in which it holds:
//! 1. The claim: nothing is sent without a status write of this very attempt id, made on the
//!    condition that nothing changed since the live look. Two replicas cannot both hold it.
//! 2. The frozen signature: signed once, before the claim; a process that wakes up late cannot
//!    sign again, and the service refuses what is too old.
//! 3. The gate, at the socket: connected, in its slot, young, leading, not shutting down.
//! 4. One send: the request is consumed by it, and nothing below repeats it.
//! 5. Release only on proof: by this task, and only for an answer that says "not executed".

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Now};
use crate::cluster::{ClusterError, Key};
use crate::code::Code;
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::quota::Turn;
use crate::record::Owned;

mod conclude;
mod prepare;
pub mod rules;
mod submit;

pub use conclude::release_unsent;

/// Longest wait for a send slot.
const SLOT_WITHIN: Duration = Duration::from_secs(5);

/// What an attempt needs once it is claimed.
struct Claimed {
    owned: Owned,
    object: PhoneMigration,
    code: Code,
    signed: Now,
    request: crate::cams::SignedRequest,
}

/// Runs the attempt that `turn` permits. Ends when its outcome is recorded, or without a trace.
pub async fn run(ctx: Arc<Context>, key: Key, turn: Turn) {
    ctx.metrics
        .rate_limiter_wait(crate::cams::Action::ChatappMigrationVerified, turn.waited());
    match prepare::prepare(&ctx, &key, turn).await {
        Ok(Some((claimed, turn))) => submit::submit(&ctx, claimed, turn).await,
        Ok(None) => {}
        Err(ClusterError::NotFound) => ctx.visits.forget(&key),
        Err(error) => {
            let delay = ctx.visits.failed(&key, clock::boot());
            ctx.metrics.reconcile_error();
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Attempt not begun");
        }
    }
}

/// When the account is tried again, as far as the quota knows.
fn next_probe(ctx: &Context, now: Now) -> jiff::Timestamp {
    let hold = ctx.quota.hold().map(|hold| hold.next_probe);
    let at = hold
        .into_iter()
        .chain(ctx.quota.paused_until())
        .max()
        .unwrap_or(now.boot);
    now.wall + at.saturating_sub(now.boot)
}
