//! Gauges that show what other modules count.

use std::sync::Arc;
use std::time::Duration;

use crate::cams::Action;
use crate::clock;
use crate::context::Context;
use crate::metrics::UnknownKind;

const EVERY: Duration = Duration::from_secs(1);

/// Copies what other modules count into the gauges.
pub(super) async fn run(ctx: Arc<Context>) {
    loop {
        account_gauges(&ctx);
        let metrics = &ctx.metrics.resources;
        metrics.set_running(ctx.tasks.count());
        for kind in UnknownKind::ALL {
            metrics.set_outcome_unknown(kind, ctx.siblings.unknown_outcomes(kind));
        }
        let counts = ctx.siblings.by_reason();
        metrics.set_objects(counts.into_iter().map(|(reason, n)| (reason.as_str(), n)));
        tokio::time::sleep(EVERY).await;
    }
}

/// Of a process that stands by, nobody waits and nothing is held: what it knows of both is old.
fn account_gauges(ctx: &Context) {
    let mut stats = ctx.quota.stats();
    if !stats.active {
        (stats.queued, stats.next_expiry, stats.hold) = (0, None, None);
    }
    let metrics = &ctx.metrics.account;
    let (submission, read) = (
        Action::ChatappMigrationVerified,
        Action::GetPhoneNumberVerificationStatus,
    );
    metrics.set_queue_depth(submission, stats.queued);
    metrics.set_queue_depth(read, stats.read_status.waiting);
    metrics.set_rate(submission, stats.verify.rate);
    metrics.set_rate(read, stats.read_status.rate);
    metrics.set_hold(stats.hold.map(|hold| hold.cause));
    metrics.set_next_expiry(stats.next_expiry, clock::now().wall);
    ctx.note_pause();
    ctx.metrics.workqueue.set_depth(stats.queued);
    ctx.metrics.workqueue.refresh();
}
