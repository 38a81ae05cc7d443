//! How many turns may be outstanding before their slots. PURE.

use std::time::Duration;

use super::{Pacer, Probe, Trust};
use crate::clock::BootTime;

/// Outstanding turns with unlimited quota. With more, the API server is slower.
const UNLIMITED_TURNS: usize = 64;
/// In addition to the worst preparation: covers the wait for the slot.
const PREPARATION_SLACK: Duration = Duration::from_secs(1);
/// Most turns that may be outstanding, in seconds of the rate.
const MAX_TURNS_AHEAD: f64 = 3.0;

impl Pacer {
    /// How many turns may be outstanding if `worst_preparation` was the longest recent preparation:
    /// enough that a prepared call waits for every slot, few enough that signatures stay fresh.
    pub fn turns_allowed(&self, now: BootTime, worst_preparation: Duration) -> usize {
        if now < self.paused_until {
            return 0;
        }
        match (&self.trust, &self.limits) {
            (Trust::Probing(phase), _) => match phase.probe {
                Probe::Due => 1,
                Probe::Out { until, .. } | Probe::Ended { until } => usize::from(now >= until),
            },
            (Trust::Full, None) => UNLIMITED_TURNS,
            (Trust::Full, Some(limits)) => {
                let ahead = (worst_preparation + PREPARATION_SLACK).as_secs_f64();
                whole_turns(limits.rate.per_second(now) * ahead.min(MAX_TURNS_AHEAD))
            }
        }
    }
}

/// Rounded up, and at least two: one prepares while one waits for its slot.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small and positive.
fn whole_turns(turns: f64) -> usize {
    (turns.ceil() as usize).max(2)
}
