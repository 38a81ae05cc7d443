//! The hold "ledger", one cause of the account's circuit breaker: while CodeLedgers cannot be
//! written, the operator sends nothing.
//!
//! It begins when a dry run for a made-up number fails, after a refused claim or at the start of
//! leadership, or when a claim is answered 401. The same dry run probes the hold.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::cluster::ClusterError;
use crate::operator::state::context::Context;
use crate::quota::Cause;

/// How long a passed dry run counts, so that many refusals make few requests.
const ANSWERS_FOR: Duration = Duration::from_secs(5);
/// Between two checks whether the probe is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which ledgers a refused claim concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// No ledger can be written: the account is held.
    All,
    /// Only the ledger of this number cannot be written.
    ThisNumber,
}

/// Finds out which ledgers a refusal concerns, and begins the hold if no ledger can be written.
pub async fn blame(ctx: &Context) -> Blame {
    if is_held(ctx) {
        return Blame::All;
    }
    let now = clock::boot();
    if ctx
        .dry_runs
        .last_passed()
        .is_some_and(|at| now < at + ANSWERS_FOR)
    {
        return Blame::ThisNumber;
    }
    match ctx.ledgers.try_create().await {
        Ok(()) => {
            ctx.dry_runs.passed(clock::boot());
            Blame::ThisNumber
        }
        Err(error) => {
            begin(ctx, &error);
            Blame::All
        }
    }
}

/// Begins the hold: the operator sends nothing until a dry run passes.
pub fn begin(ctx: &Context, error: &ClusterError) {
    if !is_held(ctx) {
        tracing::error!(namespace = ctx.ledgers.namespace(), %error,
            "CodeLedgers cannot be written, so nothing is sent: check the operator's Role in this \
             namespace, its object quotas, admission policies and webhooks, and the CRD of CodeLedger");
    }
    ctx.quota.hold_ledger();
}

fn is_held(ctx: &Context) -> bool {
    ctx.quota.ledger_probe_at().is_some()
}

/// Checks at the start of leadership that ledgers can be written.
pub async fn check(ctx: &Context) {
    if let Err(error) = ctx.ledgers.try_create().await {
        begin(ctx, &error);
    }
}

/// Probes the hold as long as the process lives, while it leads.
pub async fn run(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let due = ctx.quota.ledger_probe_at();
        if due.is_none_or(|at| clock::boot() < at) || !ctx.activity.leads() {
            continue;
        }
        let passed = ctx.ledgers.try_create().await;
        ctx.quota.ledger_probed(passed.is_ok());
        match passed {
            Ok(()) => tracing::info!("CodeLedgers can be written again: the operator goes on"),
            Err(error) => {
                let cause = Cause::Ledger.as_str();
                tracing::warn!(%error, cause, "Account still held");
            }
        }
    }
}
