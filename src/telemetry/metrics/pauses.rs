//! Adds up how long an account was paused. PURE: the caller passes the time.

use std::time::Duration;

use crate::clock::BootTime;

/// The part of the pauses that was counted so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    counted_to: Option<BootTime>,
    until: Option<BootTime>,
}

impl Pauses {
    /// Records that the pause lasts until then, or that there is none. Returns the elapsed part of
    /// the previous pause. The sum is exact if the caller calls it when each pause begins; other
    /// calls may be rare.
    pub(super) fn note(&mut self, now: BootTime, until: Option<BootTime>) -> Duration {
        let paused_to = self.until.map(|until| until.min(now));
        let passed = paused_to
            .zip(self.counted_to)
            .map_or(Duration::ZERO, |(to, from)| to.saturating_sub(from));
        self.counted_to = Some(now);
        self.until = until;
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_are_counted_once_and_to_their_end() {
        let mut pauses = Pauses::default();
        let notes = [
            (5, None, 0),
            (10, Some(13), 0), // begins
            (11, Some(13), 1), // a tick inside
            (12, Some(20), 1), // made longer
            (100, None, 8),    // ended long ago
            (101, None, 0),    // nothing since
            (110, Some(111), 0),
            (111, Some(115), 1), // the next begins as the last ends
            (112, None, 1),      // cannot be, and is not counted
            (120, None, 0),
        ];
        for (now, until, passed) in notes {
            assert_eq!(
                pauses.note(at(now), until.map(at)),
                Duration::from_secs(passed),
                "at {now}"
            );
        }
    }
}
