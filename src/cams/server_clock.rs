//! The service's clock, read from its replies. PURE.
//!
//! One address serves many gateway nodes, and one of them may have a wrong clock. So if a `Date` is
//! far from the believed time and far from the local clock, it is believed only when the next reply
//! confirms it. Each call has a connection of its own, so two replies in a row come over two
//! connections. Until then the `Date` does not count: it neither holds the account nor proves that
//! a signature has expired.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Now;

/// Two clocks that differ by no more than this count as equal: `Date` has whole seconds, and a
/// reply may take [`super::REPLY_DEADLINE`]. If the local clock and the service's differ by more,
/// the operator sends nothing.
pub const MOST_SKEW: Duration = Duration::from_secs(60);

/// The service's time and the local time when a reply arrived.
#[derive(Clone, Copy, Debug)]
struct Reading {
    date: Timestamp,
    at: Now,
}

impl Reading {
    /// The service's time at `now`, carried forward by the boot clock. So a step of the local wall
    /// clock, or its correction, shows at once, without another reply.
    fn carried_to(self, now: Now) -> Option<Timestamp> {
        let passed = now.boot.saturating_sub(self.at.boot);
        self.date.checked_add(passed).ok()
    }

    fn agrees_with(self, earlier: Option<Reading>) -> bool {
        let shown = earlier.and_then(|earlier| earlier.carried_to(self.at));
        shown.is_some_and(|shown| is_near(self.date, shown))
    }
}

fn is_near(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).unsigned_abs() <= MOST_SKEW
}

/// The believed time of the service.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerClock {
    believed: Option<Reading>,
    /// The reading of the last reply, if it was not believed.
    suspect: Option<Reading>,
}

impl ServerClock {
    /// Records the `Date` of a reply of the API that arrived at `at`. True if it is believed.
    pub fn note(&mut self, date: Timestamp, at: Now) -> bool {
        let reading = Reading { date, at };
        let believed = is_near(date, at.wall)
            || reading.agrees_with(self.believed)
            || reading.agrees_with(self.suspect);
        if believed {
            (self.believed, self.suspect) = (Some(reading), None);
        } else {
            self.suspect = Some(reading);
        }
        believed
    }

    /// True while the last reply's `Date` waits for another reply to confirm it.
    pub fn is_in_doubt(&self) -> bool {
        self.suspect.is_some()
    }

    /// How far the service's clock is ahead of the local clock (negative: behind); `None` before
    /// the first believed reply. Accurate to about a second.
    pub fn skew(&self, now: Now) -> Option<SignedDuration> {
        let server = self.believed?.carried_to(now)?;
        Some(server.duration_since(now.wall))
    }
}

#[cfg(test)]
mod tests;
