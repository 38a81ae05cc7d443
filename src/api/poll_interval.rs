//! How often the operator reads a Secret again. PURE.

use std::time::Duration;

/// When a Secret is polled again, counted from its last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Not before this time.
    pub after: Duration,
    /// When its namespace is owed a turn.
    pub within: Duration,
}

impl Interval {
    pub const FRESH: Interval = Interval::seconds(5, 10);
    const WAITING: Interval = Interval::seconds(50, 60);
    const RESTING: Interval = Interval::seconds(270, 300);

    const fn seconds(after: u64, within: u64) -> Self {
        Self {
            after: Duration::from_secs(after),
            within: Duration::from_secs(within),
        }
    }

    /// The interval for a resource that has not changed for so long, nor has its Secret.
    pub fn of(unchanged: Duration) -> Self {
        match unchanged.as_secs() {
            0..300 => Self::FRESH,
            300..1800 => Self::WAITING,
            1800.. => Self::RESTING,
        }
    }
}
