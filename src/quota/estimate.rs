//! Upper bounds of the wait, shown to users. PURE.
//!
//! The bounds come in coarse steps. A bound stays true while the queue moves on, so the operator
//! need not rewrite status with every turn. A pause or a hold makes the wait longer than the bound.

use std::time::Duration;

/// The steps, in minutes.
const STEPS: [u32; 12] = [1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 720, 1440];
/// Shortest interval between two updates of an estimate.
const SHORTEST: Duration = Duration::from_secs(30);
/// Updates of estimates per second, for all waiting resources together.
const MOST_PER_SECOND: u32 = 5;

/// Bounds of one wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The turn comes in less than this many minutes.
    pub minutes: u32,
    /// Fewer than this many turns come before it.
    pub before: u32,
    /// When to check again for a lower step; `None` if this is the lowest.
    pub again_in: Option<Duration>,
}

impl Estimate {
    /// The estimate for an entry with `ahead` turns before it, in a queue of `queued`, at `qps`
    /// turns a second. `None` if the quota is unlimited.
    pub fn new(ahead: usize, queued: usize, qps: u32) -> Option<Self> {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let queued = u32::try_from(queued).unwrap_or(u32::MAX);
        let wait = ahead.checked_div(qps)?;
        let step = STEPS.iter().position(|minutes| wait < minutes * 60);
        let step = step.unwrap_or(STEPS.len() - 1);
        let minutes = STEPS[step];
        let lower = step.checked_sub(1).map(|lower| STEPS[lower] * 60);
        let reached = |lower| Duration::from_secs(u64::from(wait.saturating_sub(lower)) + 1);
        let fair = Duration::from_secs(u64::from(queued / MOST_PER_SECOND));
        Some(Self {
            minutes,
            before: minutes.saturating_mul(60).saturating_mul(qps),
            again_in: lower.map(|lower| reached(lower).max(fair).max(SHORTEST)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_wait_is_bounded_from_above_in_coarse_steps() {
        for (ahead, minutes, before) in [
            (0, 1, 600),
            (599, 1, 600),
            (600, 2, 1200),
            (1199, 2, 1200),
            (1200, 5, 3000),
            (9_999, 20, 12_000),
            (35_999, 60, 36_000),
            (36_000, 120, 72_000),
            (10_000_000, 1440, 864_000),
        ] {
            let estimate = Estimate::new(ahead, ahead, 10).unwrap();
            assert_eq!(
                (estimate.minutes, estimate.before),
                (minutes, before),
                "{ahead}"
            );
        }
        assert_eq!(Estimate::new(5, 5, 0), None);
        let most = Estimate::new(usize::MAX, usize::MAX, 1000).unwrap();
        assert_eq!(most.before, 1440 * 60 * 1000);
    }

    #[test]
    fn it_is_reconcileed_at_again_when_the_lower_step_is_reached_but_seldom() {
        let again = |ahead, queued, qps| Estimate::new(ahead, queued, qps).unwrap().again_in;
        assert_eq!(again(64, 65, 1), Some(Duration::from_secs(30)));
        assert_eq!(again(200, 100, 1), Some(Duration::from_secs(81)));
        assert_eq!(
            again(59, 60, 1),
            None,
            "the lowest step says all there is to say"
        );
        // Ten thousand resources may not check more than five times a second together.
        assert_eq!(again(9_999, 10_000, 10), Some(Duration::from_secs(2000)));
    }

    #[test]
    fn a_queue_that_drains_costs_each_resource_a_few_looks() {
        for (queued, qps) in [(65_usize, 1), (600, 1), (3000, 10), (10_000, 10)] {
            let mut looks = 0_usize;
            for rank in 0..queued {
                let mut ahead = rank;
                let mut left = queued;
                while let Some(wait) = Estimate::new(ahead, left, qps).unwrap().again_in {
                    let turns = usize::try_from(wait.as_secs()).unwrap() * qps as usize;
                    left = left.saturating_sub(turns);
                    let Some(still) = ahead.checked_sub(turns) else {
                        break;
                    };
                    looks += 1;
                    ahead = still;
                }
            }
            let drained_in = queued / qps as usize;
            assert!(looks <= 5 * drained_in, "{looks} looks in {drained_in} s");
        }
    }
}
