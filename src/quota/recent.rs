//! The largest value of the recent past. PURE.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;

/// Maximum over a sliding window. Holds only values that can still become the maximum,
/// so its length is that of the longest falling run.
#[derive(Debug)]
pub(super) struct RecentMax {
    window: Duration,
    falling: VecDeque<(BootTime, Duration)>,
}

impl RecentMax {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            falling: VecDeque::new(),
        }
    }

    /// Records `value` as seen at `now`.
    pub(super) fn record(&mut self, now: BootTime, value: Duration) {
        while self
            .falling
            .front()
            .is_some_and(|&(at, _)| self.is_old(at, now))
        {
            self.falling.pop_front();
        }
        while self.falling.back().is_some_and(|&(_, v)| v <= value) {
            self.falling.pop_back();
        }
        self.falling.push_back((now, value));
    }

    /// The largest value recorded within the window that ends at `now`, else zero.
    pub(super) fn get(&self, now: BootTime) -> Duration {
        self.falling
            .iter()
            .find(|&&(at, _)| !self.is_old(at, now))
            .map_or(Duration::ZERO, |&(_, value)| value)
    }

    fn is_old(&self, at: BootTime, now: BootTime) -> bool {
        now.saturating_sub(at) > self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_left_the_window_and_nothing_else() {
        let s = Duration::from_secs;
        let mut max = RecentMax::new(s(10));
        assert_eq!(max.get(s(0)), s(0));
        max.record(s(1), s(5));
        max.record(s(2), s(3));
        max.record(s(3), s(4));
        assert_eq!(max.get(s(11)), s(5));
        assert_eq!(max.get(s(12)), s(4));
        assert_eq!(max.get(s(14)), s(0));
        max.record(s(14), s(1));
        assert_eq!(max.get(s(14)), s(1));
        assert_eq!(max.falling.len(), 1);
    }
}
