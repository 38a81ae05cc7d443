//! Gauges that show the counts of other modules.

use std::sync::Arc;
use std::time::Duration;

use crate::cams::Action;
use crate::clock::{self, BootTime};
use crate::operator::state::context::Context;
use crate::telemetry::metrics::UnknownKind;

const EVERY: Duration = Duration::from_secs(1);

/// Copies the counts of other modules into the gauges.
pub(super) async fn run(ctx: Arc<Context>) {
    loop {
        account_gauges(&ctx);
        let metrics = &ctx.metrics.resources;
        metrics.set_running(ctx.tasks.count());
        for kind in UnknownKind::ALL {
            metrics.set_outcome_unknown(kind, ctx.numbers.unknown_outcomes(kind));
        }
        let counts = ctx.numbers.by_reason();
        metrics.set_objects(counts.into_iter().map(|(reason, n)| (reason.as_str(), n)));
        let (open, ended) = ctx.index.counts();
        metrics.set_ledgers(open, ended);
        tokio::time::sleep(EVERY).await;
    }
}

/// A standby process reports no queue and no hold: its own view of both is old.
fn account_gauges(ctx: &Context) {
    let mut stats = ctx.quota.stats();
    if !stats.active {
        (stats.queued, stats.next_expiry, stats.hold) = (0, None, None);
        stats.braked_pairs = 0;
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
    metrics.set_braked_pairs(stats.braked_pairs);
    metrics.set_next_expiry(stats.next_expiry, clock::now().wall);
    let left = |until: BootTime| until.saturating_sub(clock::boot());
    ctx.metrics
        .sign_in
        .set_expiry(ctx.cams.key_good_until().map(left));
    ctx.note_pause();
    ctx.metrics.workqueue.set_depth(stats.queued);
    ctx.metrics.workqueue.refresh();
}
