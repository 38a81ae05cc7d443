//! Least distance between two sends, kept by `governor` on passed-in time. PURE.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::BootTime;

/// The last time that the caller passed in, as nanoseconds since boot: `governor` asks a clock for
/// the time, and a pure module has none.
#[derive(Debug, Default)]
struct PassedTime(AtomicU64);

impl PassedTime {
    fn set(&self, now: BootTime) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for PassedTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, PassedTime, NoOpMiddleware<Duration>>;

/// Spaces sends by a period that may change; burst 1.
#[derive(Debug)]
pub(super) struct Spacing {
    period: Duration,
    limiter: Limiter,
    last: Option<BootTime>,
}

impl Spacing {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            limiter: limiter(period, BootTime::ZERO),
            last: None,
        }
    }

    /// Takes the send at `now`, at least `period` after the previous one.
    ///
    /// # Errors
    /// The time from which the send is possible, if that is later than `now`.
    pub(super) fn take(&mut self, now: BootTime, period: Duration) -> Result<(), BootTime> {
        if period != self.period {
            self.rebuild(period);
        }
        self.limiter.clock().set(now);
        match self.limiter.check() {
            Ok(()) => {
                self.last = Some(now);
                Ok(())
            }
            Err(wait) => Err(wait.earliest_possible()),
        }
    }

    /// A limiter's period is fixed, so a new limiter takes over and counts from the last send: a
    /// fresh one would let the next send follow at once.
    fn rebuild(&mut self, period: Duration) {
        self.period = period;
        self.limiter = limiter(period, self.last.unwrap_or_default());
        if self.last.is_some() {
            // The first check of a new limiter always passes: it stands for `last`.
            let _first = self.limiter.check();
        }
    }
}

/// A limiter whose clock stands at `start`.
fn limiter(period: Duration, start: BootTime) -> Limiter {
    let clock = PassedTime::default();
    clock.set(start);
    let period = period.max(Duration::from_nanos(1));
    let quota = Quota::with_period(period)
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(NonZeroU32::MIN);
    RateLimiter::direct_with_clock(quota, clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn spaces_by_the_period_and_names_the_moment() {
        let mut spacing = Spacing::new(ms(80));
        assert_eq!(spacing.take(ms(5_000), ms(80)), Ok(()));
        assert_eq!(spacing.take(ms(5_000), ms(80)), Err(ms(5_080)));
        assert_eq!(spacing.take(ms(5_079), ms(80)), Err(ms(5_080)));
        assert_eq!(spacing.take(ms(5_080), ms(80)), Ok(()));
        // Idle time earns no burst.
        assert_eq!(spacing.take(ms(9_000), ms(80)), Ok(()));
        assert_eq!(spacing.take(ms(9_000), ms(80)), Err(ms(9_080)));
    }

    #[test]
    fn a_new_period_counts_from_the_last_send() {
        let mut spacing = Spacing::new(ms(80));
        assert_eq!(spacing.take(ms(1_000), ms(80)), Ok(()));
        assert_eq!(spacing.take(ms(1_001), ms(200)), Err(ms(1_200)));
        assert_eq!(spacing.take(ms(1_200), ms(200)), Ok(()));
        assert_eq!(spacing.take(ms(1_201), ms(80)), Err(ms(1_280)));
        assert_eq!(spacing.take(ms(1_280), ms(80)), Ok(()));
        // Also when the period changes before the first send.
        let mut fresh = Spacing::new(ms(80));
        assert_eq!(fresh.take(ms(7), ms(200)), Ok(()));
    }
}
