//! The traffic through the proxy.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::toxic::Direction;

/// Figures since the start of the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that clients made.
    pub accepted: u64,
    /// Those of them that have not ended.
    pub open: u64,
    /// From clients to the server.
    pub up: Bytes,
    /// From the server to clients.
    pub down: Bytes,
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Read from the sender.
    pub read: u64,
    /// The part of them that was written, or is about to be; the rest is delayed or was swallowed.
    pub passed: u64,
}

#[derive(Debug, Default)]
struct Tally {
    read: AtomicU64,
    passed: AtomicU64,
}

impl Tally {
    fn bytes(&self) -> Bytes {
        // In this order: passed bytes were read before.
        let passed = self.passed.load(Ordering::SeqCst);
        let read = self.read.load(Ordering::SeqCst);
        Bytes { read, passed }
    }
}

/// The counters behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    ended: AtomicU64,
    up: Tally,
    down: Tally,
}

impl Counters {
    pub(crate) fn counts(&self) -> Counts {
        let ended = self.ended.load(Ordering::SeqCst);
        let accepted = self.accepted.load(Ordering::SeqCst);
        Counts {
            accepted,
            open: accepted - ended,
            up: self.up.bytes(),
            down: self.down.bytes(),
        }
    }

    /// The number of the new connection, from 1.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn read(&self, direction: Direction, bytes: usize) {
        add(&self.tally(direction).read, bytes);
    }

    pub(crate) fn passed(&self, direction: Direction, bytes: usize) {
        add(&self.tally(direction).passed, bytes);
    }

    fn tally(&self, direction: Direction) -> &Tally {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::SeqCst);
}
