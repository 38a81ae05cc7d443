//! The allowance for late arrival, J. PURE.
//!
//! Two calls sent one second apart may arrive closer together if the first is late. J bounds how
//! much later after its send a call arrives than the fastest call. This module learns J from our
//! own lateness and from throttles; round trips give the lateness of single calls (`round_trips`).

use std::time::Duration;

use super::super::recent::Recent;
use crate::clock::BootTime;

/// Start value of J, and its minimum.
pub const START: Duration = Duration::from_millis(10);
/// A round trip proves no lateness beyond this.
pub const MOST: Duration = Duration::from_millis(100);
/// J never exceeds the deadline of a call: there the rule is anchored on the reply.
pub const MAX: Duration = Duration::from_secs(10);
/// How long our own lateness counts.
const LATENESS_WINDOW: Duration = Duration::from_secs(10);
/// J halves after each such time without a throttle.
const QUIET: Duration = Duration::from_secs(600);

/// J, learned per action.
#[derive(Debug)]
pub(super) struct Allowance {
    learned: Duration,
    /// The last throttle, or the start.
    quiet_since: BootTime,
    lateness: Recent,
}

impl Allowance {
    pub(super) fn new(now: BootTime) -> Self {
        Self {
            learned: START,
            quiet_since: now,
            lateness: Recent::largest(LATENESS_WINDOW),
        }
    }

    /// J: the value learned from throttles, but at least our own recent lateness.
    pub(super) fn current(&self, now: BootTime) -> Duration {
        let lateness = self.lateness.get(now).unwrap_or_default();
        self.learned(now).max(lateness).min(MAX)
    }

    /// The value learned from throttles, without our own lateness.
    pub(super) fn learned(&self, now: BootTime) -> Duration {
        let halvings = now.saturating_sub(self.quiet_since).as_secs() / QUIET.as_secs();
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        let divisor = 1u32.checked_shl(halvings).unwrap_or(u32::MAX);
        (self.learned / divisor).max(START)
    }

    /// The client handed a request over this long after its send time.
    pub(super) fn late(&mut self, now: BootTime, lateness: Duration) {
        self.lateness.record(now, lateness);
    }

    /// Late arrival may explain a throttle: J was too small, or other clients use the quota too.
    /// From now on, J covers the `spread` of the round trips, up to twice the maximum that counted
    /// before.
    pub(super) fn double(&mut self, now: BootTime, spread: Duration) {
        let shown = spread.min(MOST * 2);
        let doubled = self.current(now).saturating_mul(2);
        self.learned = doubled.max(shown).min(MAX);
        self.quiet_since = now;
    }

    /// The throttle taught nothing: J returns to the value learned before it.
    pub(super) fn unlearn(&mut self, now: BootTime, learned: Duration) {
        self.learned = learned;
        self.quiet_since = now;
    }

    /// A further throttle of the same pause: not quiet, but no new evidence.
    pub(super) fn not_quiet(&mut self, now: BootTime) {
        self.learned = self.learned(now);
        self.quiet_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn doubles_to_the_deadline_and_halves_with_quiet() {
        let mut j = Allowance::new(ms(0));
        assert_eq!(j.current(ms(0)), START);
        j.double(ms(0), ms(0));
        assert_eq!(j.current(ms(0)), ms(20));
        for _ in 0..20 {
            j.double(ms(0), ms(0));
        }
        assert_eq!(j.current(ms(0)), MAX);
        assert_eq!(j.current(ms(599_999)), MAX);
        assert_eq!(j.current(ms(600_000)), ms(5_000));
        assert_eq!(j.current(ms(1_200_000)), ms(2_500));
        assert_eq!(j.current(ms(u64::from(u32::MAX))), START);
        j.not_quiet(ms(1_200_000));
        assert_eq!(j.current(ms(1_799_999)), ms(2_500));
    }

    #[test]
    fn lateness_is_a_floor_for_ten_seconds() {
        let mut j = Allowance::new(ms(0));
        j.late(ms(1_000), ms(300));
        j.late(ms(2_000), ms(40));
        assert_eq!(j.current(ms(11_000)), ms(300));
        assert_eq!(j.learned(ms(11_000)), START);
        assert_eq!(j.current(ms(11_001)), ms(40));
        assert_eq!(j.current(ms(12_001)), START);
        // A throttle doubles the value that was in force.
        j.late(ms(20_000), ms(100));
        j.double(ms(20_001), ms(0));
        assert_eq!(j.current(ms(40_000)), ms(200));
        j.late(ms(50_000), ms(60_000));
        assert_eq!(j.current(ms(50_000)), MAX);
    }

    #[test]
    fn a_throttle_lets_the_spread_of_round_trips_teach_more() {
        for (spread, learned) in [(5, 20), (60, 60), (300, 200)] {
            let mut j = Allowance::new(ms(0));
            j.double(ms(0), ms(spread));
            assert_eq!(j.current(ms(0)), ms(learned));
            j.unlearn(ms(1), START);
            assert_eq!(j.current(ms(1)), START);
        }
    }
}
