//! The simulator's clocks. The only module that reads one.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One monotonic clock for every time in the ledger, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        self.us(Instant::now())
    }

    /// An instant as microseconds since the start.
    pub fn us(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// The wall clock, without any offset.
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The wall clock moved by an offset; the offset is clamped to what a timestamp can hold.
pub fn shifted(wall: Timestamp, offset_ms: i64) -> Timestamp {
    let delta = Duration::from_millis(offset_ms.unsigned_abs());
    let moved = if offset_ms < 0 {
        wall.checked_sub(delta)
    } else {
        wall.checked_add(delta)
    };
    moved.unwrap_or(wall)
}

/// A timestamp in the form of an HTTP `Date` header.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
