//! Late arrival that round trips show before any throttle does. PURE.
//!
//! If nothing else differs, a request that arrived later than the quickest one has a round trip
//! longer by the same time. Other differences (the server's work after it counted, the way back)
//! also lengthen a round trip. So this module may learn too much lateness, but hardly too little.
//! The lateness never counts for more than [`MOST`]: beyond that only throttles teach.
//!
//! Limit: the quickest round trip of the last 30 s stands for the quickest possible one. After only
//! a few round trips it is not that yet; hence the margin.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::recent::Recent;
use super::allowance::{MOST, START};
use super::{DEADLINE, SendId};
use crate::clock::BootTime;

/// How long a round trip says something about the path.
const MEMORY: Duration = Duration::from_secs(30);
/// Fewer round trips prove nothing; unknown lateness counts as [`MOST`].
const ENOUGH: usize = 10;

/// The round trips of the last 30 s, from the handover to the reply.
#[derive(Debug)]
pub(super) struct RoundTrips {
    quickest: Recent,
    slowest: Recent,
    /// When the last [`ENOUGH`] round trips were recorded.
    seen: VecDeque<BootTime>,
    /// When the calls under way were handed over. The window forgets a call earlier.
    out: BTreeMap<SendId, BootTime>,
}

impl RoundTrips {
    pub(super) fn new() -> Self {
        Self {
            quickest: Recent::smallest(MEMORY),
            slowest: Recent::largest(MEMORY),
            seen: VecDeque::new(),
            out: BTreeMap::new(),
        }
    }

    /// The client handed the request to its connection.
    pub(super) fn handed(&mut self, id: SendId, at: BootTime) {
        // Drops calls that no event ended before their deadline.
        while let Some(first) = self.out.first_entry()
            && *first.get() + DEADLINE < at
        {
            first.remove();
        }
        self.out.entry(id).or_insert(at);
    }

    /// The server counted the call and answered it.
    pub(super) fn replied(&mut self, id: SendId, at: BootTime) {
        if let Some(handed) = self.out.remove(&id) {
            self.record(at, at.saturating_sub(handed));
        }
    }

    /// The call has no comparable round trip: it never left, or the client reads no reply, or the
    /// server rejected it before the work began.
    pub(super) fn forget(&mut self, id: SendId) {
        self.out.remove(&id);
    }

    fn record(&mut self, now: BootTime, round_trip: Duration) {
        self.quickest.record(now, round_trip);
        self.slowest.record(now, round_trip);
        if self.seen.len() >= ENOUGH {
            self.seen.pop_front();
        }
        self.seen.push_back(now);
    }

    /// The slowest minus the quickest; `None` while too few are known.
    pub(super) fn spread(&self, now: BootTime) -> Option<Duration> {
        let first = self.seen.front().filter(|_| self.seen.len() >= ENOUGH)?;
        if now.saturating_sub(*first) > MEMORY {
            return None;
        }
        Some(
            self.slowest
                .get(now)?
                .saturating_sub(self.quickest.get(now)?),
        )
    }

    /// How much later than the quickest call a call with this round trip may have arrived. `None`
    /// means that its reply has not come yet.
    pub(super) fn lateness(&self, now: BootTime, round_trip: Option<Duration>) -> Duration {
        let (Some(spread), Some(quickest)) = (self.spread(now), self.quickest.get(now)) else {
            return MOST;
        };
        let own = round_trip.map_or(spread, |own| own.saturating_sub(quickest));
        (own + (spread / 4).min(START)).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_call_is_as_late_as_its_round_trip_is_longer_than_the_quickest() {
        let mut trips = RoundTrips::new();
        for n in 0..9 {
            trips.record(ms(n), ms(300 + n));
        }
        assert_eq!(trips.spread(ms(9)), None);
        assert_eq!(trips.lateness(ms(9), Some(ms(300))), MOST, "too few");
        trips.record(ms(10), ms(320));
        assert_eq!(trips.spread(ms(10)), Some(ms(20)));
        assert_eq!(trips.lateness(ms(10), Some(ms(300))), ms(5));
        assert_eq!(trips.lateness(ms(10), Some(ms(315))), ms(20));
        assert_eq!(
            trips.lateness(ms(10), None),
            ms(25),
            "not known: the spread"
        );
        trips.record(ms(20), ms(900));
        assert_eq!(trips.lateness(ms(20), Some(ms(305))), ms(15));
        assert_eq!(trips.lateness(ms(20), Some(ms(700))), MOST);
        assert_eq!(trips.lateness(ms(20), None), MOST);
        // That round trip has expired, and so have the ones before it.
        assert_eq!(trips.spread(ms(30_021)), None);
    }

    #[test]
    fn a_round_trip_is_of_a_call_that_was_handed_over_and_answered() {
        let mut trips = RoundTrips::new();
        for n in 0..12 {
            trips.handed(SendId(n), ms(1_000 * n));
        }
        assert_eq!(trips.out.len(), 11, "the deadline of the first is over");
        trips.forget(SendId(1));
        for n in 0..12 {
            trips.replied(SendId(n), ms(11_000 + n));
        }
        assert_eq!((trips.out.len(), trips.seen.len()), (0, 10));
        assert_eq!(trips.spread(ms(12_000)), Some(ms(9_000 - 9)));
    }
}
