//! What this process does when it gains or loses leadership.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock;
use crate::cluster::lease::{LeaderElector, NAME, Term};
use crate::operator::state::context::Context;

/// Runs for leader and follows the result until the Lease is released. Sets `leads` to true when
/// leadership begins and to false when it ends.
pub(super) async fn run(
    ctx: Arc<Context>,
    elector: LeaderElector,
    term: watch::Receiver<Term>,
    leads: watch::Sender<bool>,
) {
    if !elector.stands() {
        return std::future::pending().await;
    }
    ctx.quota.set_active(false);
    ctx.metrics.set_leader(NAME, false);
    let client = ctx.cluster.client().clone();
    tokio::select! {
        () = follow(&ctx, term, &leads) => {}
        () = elector.run(client, ctx.activity.draining()) => {}
    }
}

/// Starts and stops the quota as this process gains and loses leadership, by the clock.
async fn follow(ctx: &Context, mut terms: watch::Receiver<Term>, leads: &watch::Sender<bool>) {
    let mut leading = None;
    loop {
        let seen = *terms.borrow_and_update();
        let now = clock::boot();
        let term = seen.is_leader(now).then_some(seen.term);
        if term != leading {
            leading = term;
            ctx.metrics.set_leader(NAME, term.is_some());
            if term.is_some() {
                tracing::info!(lease = NAME, "Leading: attempts may begin");
                // Before the first turn: the last leader may have sent a moment ago.
                ctx.quota.new_leader();
                ctx.quota.set_active(!ctx.activity.is_draining());
            } else {
                tracing::warn!(
                    lease = NAME,
                    "Not leading any more: no attempt begins, running ones come to their end"
                );
                ctx.quota.set_active(false);
            }
            // Send even if it is already true: during a very short lapse, reconciles may have been
            // skipped.
            leads.send_replace(term.is_some());
        }
        let lapse = async {
            match term {
                Some(_) => tokio::time::sleep(seen.until.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lapse => {}
            changed = terms.changed() => if changed.is_err() { return },
        }
    }
}
