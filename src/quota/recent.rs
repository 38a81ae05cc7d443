//! The largest or smallest recent value. PURE.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;

/// Which of two values is the extreme.
#[derive(Clone, Copy, Debug)]
enum Of {
    Largest,
    Smallest,
}

/// An extreme over a sliding window. Keeps only values that can still become the extreme, so its
/// length is that of the longest falling (or rising) run.
#[derive(Debug)]
pub(super) struct Recent {
    window: Duration,
    of: Of,
    run: VecDeque<(BootTime, Duration)>,
}

impl Recent {
    pub(super) fn largest(window: Duration) -> Self {
        Self::new(window, Of::Largest)
    }

    pub(super) fn smallest(window: Duration) -> Self {
        Self::new(window, Of::Smallest)
    }

    fn new(window: Duration, of: Of) -> Self {
        let run = VecDeque::new();
        Self { window, of, run }
    }

    /// Records `value` at the time `now`.
    pub(super) fn record(&mut self, now: BootTime, value: Duration) {
        while self
            .run
            .front()
            .is_some_and(|&(at, _)| self.is_old(at, now))
        {
            self.run.pop_front();
        }
        while self.run.back().is_some_and(|&(_, v)| match self.of {
            Of::Largest => v <= value,
            Of::Smallest => v >= value,
        }) {
            self.run.pop_back();
        }
        self.run.push_back((now, value));
    }

    /// The extreme of the values recorded within the window that ends at `now`; `None` without
    /// values.
    pub(super) fn get(&self, now: BootTime) -> Option<Duration> {
        self.run
            .iter()
            .find(|&&(at, _)| !self.is_old(at, now))
            .map(|&(_, value)| value)
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
        let mut max = Recent::largest(s(10));
        let mut min = Recent::smallest(s(10));
        assert_eq!((max.get(s(0)), min.get(s(0))), (None, None));
        for (at, value) in [(1, 5), (2, 3), (3, 4)] {
            max.record(s(at), s(value));
            min.record(s(at), s(value));
        }
        assert_eq!((max.get(s(11)), min.get(s(11))), (Some(s(5)), Some(s(3))));
        assert_eq!((max.get(s(12)), min.get(s(12))), (Some(s(4)), Some(s(3))));
        assert_eq!((max.get(s(13)), min.get(s(13))), (Some(s(4)), Some(s(4))));
        assert_eq!((max.get(s(14)), min.get(s(14))), (None, None));
        max.record(s(14), s(1));
        assert_eq!(max.get(s(14)), Some(s(1)));
        assert_eq!(max.run.len(), 1);
    }
}
