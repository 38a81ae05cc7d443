//! The target rate: a throttle halves it, quiet time raises it again. PURE.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::BootTime;

/// Thousandths of a call per second, so that halves are exact.
const PER_CALL: u64 = 1_000;
/// Gain per quiet second.
const STEP: u64 = PER_CALL / 2;
/// The rate is never lower, or a recovery would not begin.
const FLOOR: u64 = PER_CALL / 2;

/// Calls per second, at most the quota.
#[derive(Debug)]
pub(super) struct Rate {
    quota: u64,
    base: u64,
    /// The rate grows from this time; `None` from a throttle until its probe passes.
    recovering_since: Option<BootTime>,
}

impl Rate {
    pub(super) fn new(quota: NonZeroU32) -> Self {
        let quota = u64::from(quota.get()) * PER_CALL;
        Self {
            quota,
            base: quota,
            recovering_since: None,
        }
    }

    fn thousandths(&self, now: BootTime) -> u64 {
        let quiet = match self.recovering_since {
            Some(since) => now.saturating_sub(since).as_secs(),
            None => 0,
        };
        self.base
            .saturating_add(STEP.saturating_mul(quiet))
            .min(self.quota)
    }

    /// Calls per second.
    #[allow(clippy::cast_precision_loss)] // 2^32 calls per second fit exactly.
    pub(super) fn per_second(&self, now: BootTime) -> f64 {
        self.thousandths(now) as f64 / PER_CALL as f64
    }

    /// Shortest interval between two sends. At full rate the window rule bounds the rate and the
    /// spacing only keeps it even, so it leaves the window a fifth of slack. Below full rate the
    /// spacing *is* the rate.
    pub(super) fn period(&self, now: BootTime) -> Duration {
        let rate = self.thousandths(now);
        let second = 1_000_000_000 * PER_CALL;
        if rate == self.quota {
            Duration::from_nanos(second / 10 * 8 / self.quota)
        } else {
            Duration::from_nanos(second / rate)
        }
    }

    /// A throttle began a pause.
    pub(super) fn halve(&mut self, now: BootTime) {
        self.base = (self.thousandths(now) / 2).max(FLOOR).min(self.quota);
        self.recovering_since = None;
    }

    /// A throttle began a pause, but the rate did not cause it.
    pub(super) fn stand_still(&mut self, now: BootTime) {
        self.base = self.thousandths(now);
        self.recovering_since = None;
    }

    /// The probe passed.
    pub(super) fn recover(&mut self, now: BootTime) {
        self.base = self.thousandths(now);
        self.recovering_since = Some(now);
    }

    /// The probe passed. Restores the rate from before the throttles, which the rate did not cause.
    pub(super) fn resume(&mut self, before: AimedAt, now: BootTime) {
        self.base = before.0;
        self.recovering_since = Some(now);
    }

    /// The rate at `now`, for [`Rate::resume`].
    pub(super) fn aimed_at(&self, now: BootTime) -> AimedAt {
        AimedAt(self.thousandths(now))
    }
}

/// A target rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AimedAt(u64);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn halves_and_recovers_by_half_a_call_per_quiet_second() {
        let mut rate = Rate::new(NonZeroU32::new(10).unwrap());
        assert_eq!(rate.period(s(0)), Duration::from_millis(80));
        rate.halve(s(0));
        assert_eq!(rate.per_second(s(100)), 5.0);
        assert_eq!(rate.period(s(100)), Duration::from_millis(200));
        rate.recover(s(100));
        assert_eq!(rate.per_second(s(101)), 5.5);
        assert_eq!(rate.per_second(s(109)), 9.5);
        assert_eq!(rate.period(s(110)), Duration::from_millis(80));
        assert_eq!(rate.per_second(s(500)), 10.0);
        for _ in 0..10 {
            rate.halve(s(500));
        }
        assert_eq!(rate.per_second(s(500)), 0.5);
    }

    #[test]
    fn a_rate_that_was_not_to_blame_is_resumed() {
        let mut rate = Rate::new(NonZeroU32::new(10).unwrap());
        rate.halve(s(0));
        rate.recover(s(0));
        let before = rate.aimed_at(s(4));
        rate.halve(s(4));
        rate.resume(before, s(30));
        assert_eq!(rate.per_second(s(30)), 7.0);
        assert_eq!(rate.per_second(s(32)), 8.0);
        rate.stand_still(s(32));
        assert_eq!(rate.per_second(s(100)), 8.0);
    }

    #[test]
    fn a_quota_of_one_halves_to_one_in_two_seconds() {
        let mut rate = Rate::new(NonZeroU32::MIN);
        rate.halve(s(0));
        rate.halve(s(0));
        assert_eq!(rate.period(s(0)), s(2));
    }
}
