//! The faults of a connection. PURE.

use std::num::NonZeroU32;
use std::time::Duration;

/// A way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// The faults of a connection; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toxics {
    /// RST to the client right after the accept; nothing is read, and no server is asked.
    pub reset_at_once: bool,
    /// The requests.
    pub up: Flow,
    /// The replies.
    pub down: Flow,
}

impl Toxics {
    /// The requests only.
    pub fn up(flow: Flow) -> Self {
        Self {
            up: flow,
            ..Self::default()
        }
    }

    /// The replies only.
    pub fn down(flow: Flow) -> Self {
        Self {
            down: flow,
            ..Self::default()
        }
    }

    /// Both ways alike.
    pub fn both(flow: Flow) -> Self {
        Self {
            up: flow,
            down: flow,
            ..Self::default()
        }
    }

    /// RST right after the accept.
    pub fn reset_at_once() -> Self {
        Self {
            reset_at_once: true,
            ..Self::default()
        }
    }

    pub fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

/// The faults of the bytes of one direction; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Every chunk comes this much later; the order stays.
    pub latency: Duration,
    /// And later again by a time drawn uniformly from zero to this.
    pub jitter: Duration,
    /// No more bytes per second than this.
    pub bandwidth: Option<NonZeroU32>,
    /// Small pieces.
    pub slices: Option<Slices>,
    /// The end of the stream comes this much later than its last byte.
    pub slow_close: Duration,
    /// An early end of the connection.
    pub limit: Option<Limit>,
}

/// Small writes with a pause after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Bytes of a piece; 0 counts as 1.
    pub bytes: usize,
    /// After each piece.
    pub pause: Duration,
}

/// So many bytes of a connection pass; the first byte beyond them ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Since the connection was made.
    pub bytes: u64,
    /// How the connection ends then.
    pub then: Ending,
}

/// How a connection ends at its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN to both sides.
    Close,
    /// RST to both sides.
    Reset,
    /// FIN to the side that would have got the bytes; they are swallowed, and the other
    /// direction goes on.
    HalfClose,
    /// The bytes are swallowed; the connection stays until one side leaves.
    Blackhole,
}

impl Flow {
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// With no more bytes per second than this; 0: as many as come.
    #[must_use]
    pub fn bandwidth(mut self, bytes_per_second: u32) -> Self {
        self.bandwidth = NonZeroU32::new(bytes_per_second);
        self
    }

    #[must_use]
    pub fn slices(mut self, bytes: usize, pause: Duration) -> Self {
        self.slices = Some(Slices { bytes, pause });
        self
    }

    #[must_use]
    pub fn slow_close(mut self, late: Duration) -> Self {
        self.slow_close = late;
        self
    }

    #[must_use]
    pub fn limit(mut self, bytes: u64, then: Ending) -> Self {
        self.limit = Some(Limit { bytes, then });
        self
    }

    /// How late a chunk is.
    pub(crate) fn delay(&self, random: &mut fastrand::Rng) -> Duration {
        let most = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.latency + Duration::from_nanos(random.u64(..=most))
    }

    /// How many of `bytes` are written at a time.
    pub(crate) fn piece(&self, bytes: usize) -> usize {
        // A twentieth of a second's worth, so that the rate is even.
        let even = |rate: NonZeroU32| usize::try_from(rate.get() / 20).unwrap_or(usize::MAX);
        let by_rate = self.bandwidth.map_or(usize::MAX, even);
        let by_slice = self.slices.map_or(usize::MAX, |slices| slices.bytes);
        bytes.min(by_rate.max(1)).min(by_slice.max(1))
    }

    /// The pause after a piece of `bytes`.
    pub(crate) fn pause(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let by_rate = self.bandwidth.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(1) * bytes / rate.get()
        });
        self.slices
            .map_or(by_rate, |slices| by_rate.max(slices.pause))
    }

    /// How many of `new` bytes may pass after `passed`, and how the connection ends if the rest may
    /// not.
    pub(crate) fn admit(&self, passed: u64, new: usize) -> (usize, Option<Ending>) {
        let Some(limit) = self.limit else {
            return (new, None);
        };
        let left = usize::try_from(limit.bytes.saturating_sub(passed)).unwrap_or(usize::MAX);
        if new > left {
            (left, Some(limit.then))
        } else {
            (new, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_delays_and_they_stay_in_their_bounds() {
        let ms = Duration::from_millis;
        let flow = Flow::default().latency(ms(20)).jitter(ms(50));
        let drawn = |seed| -> Vec<Duration> {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..500).map(|_| flow.delay(&mut random)).collect()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).iter().all(|d| (ms(20)..=ms(70)).contains(d)));
        let spread = |below: u64| drawn(7).iter().filter(|d| **d < ms(below)).count();
        assert!((200..300).contains(&spread(45)), "{}", spread(45));
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(Flow::default().delay(&mut random), Duration::ZERO);
    }

    #[test]
    fn pieces_and_pauses_make_the_rate() {
        let slow = Flow::default().bandwidth(1);
        assert_eq!(
            (slow.piece(500), slow.pause(1)),
            (1, Duration::from_secs(1))
        );
        let fast = Flow::default().bandwidth(100_000);
        assert_eq!(fast.piece(16_384), 5_000);
        assert_eq!(fast.pause(5_000), Duration::from_millis(50));
        let sliced = Flow::default().slices(0, Duration::from_millis(3));
        assert_eq!(
            (sliced.piece(9), sliced.pause(1)),
            (1, Duration::from_millis(3))
        );
        assert_eq!(
            (Flow::default().piece(9), Flow::default().pause(9)),
            (9, Duration::ZERO)
        );
    }

    #[test]
    fn the_first_byte_beyond_a_limit_ends_the_connection() {
        let flow = Flow::default().limit(10, Ending::Reset);
        assert_eq!(flow.admit(0, 10), (10, None));
        assert_eq!(flow.admit(10, 1), (0, Some(Ending::Reset)));
        assert_eq!(flow.admit(4, 20), (6, Some(Ending::Reset)));
        assert_eq!(Flow::default().admit(4, 20), (20, None));
    }
}
