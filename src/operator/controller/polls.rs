//! Gives each poll of a Secret its turn.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, BootTime};
use crate::operator::state::context::Context;

/// Between two checks whether this process leads by now.
const STANDBY: Duration = Duration::from_secs(1);
/// Longest sleep while nothing is planned.
const LONGEST: Duration = Duration::from_secs(60);

/// Triggers each resource that gets its turn, as long as the process lives, while it leads.
pub async fn run(ctx: Arc<Context>) {
    loop {
        let sleep = match ctx.activity.may_act() {
            true => give_turn(&ctx, clock::boot()),
            false => STANDBY,
        };
        tokio::select! {
            () = ctx.planned.notified(), if ctx.activity.may_act() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Gives the turn of `now` to a resource that may have it. Returns the time until the next turn.
fn give_turn(ctx: &Context, now: BootTime) -> Duration {
    if let Some(key) = ctx.memory.take_poll(now) {
        ctx.trigger(&key);
    }
    let next = ctx.memory.next_poll();
    next.map_or(LONGEST, |at| at.saturating_sub(now))
        .max(Duration::from_millis(1))
}
