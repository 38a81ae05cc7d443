//! One outage, from the beginning of its hold to the end. PURE.

use std::time::Duration;

use super::Cause;
use crate::back_off;
use crate::clock::BootTime;

#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) cause: Cause,
    pub(super) since: BootTime,
    pub(super) back_off: Duration,
    pub(super) next_probe: BootTime,
    /// The next probe was requested: if it fails, the back-off does not grow.
    pub(super) asked: bool,
}

impl Outage {
    pub(super) fn new(cause: Cause, now: BootTime, back_off: Duration) -> Self {
        Self {
            cause,
            since: now,
            back_off,
            next_probe: now + back_off,
            asked: false,
        }
    }

    /// Makes a probe due at `at`, if none is due before.
    pub(super) fn ask(&mut self, at: BootTime) {
        if at < self.next_probe {
            (self.next_probe, self.asked) = (at, true);
        }
    }

    /// Changes the cause; a new cause counts from now.
    pub(super) fn now_by(&mut self, cause: Cause, now: BootTime) {
        if self.cause != cause {
            (self.cause, self.since) = (cause, now);
        }
    }

    /// The next outage after this one: it waits longer.
    pub(super) fn followed_by(self, cause: Cause, now: BootTime) -> Self {
        let mut next = Self::new(cause, now, self.back_off);
        next.fail(now);
        next
    }

    pub(super) fn fail(&mut self, now: BootTime) {
        if !self.asked {
            self.back_off = back_off::next(self.back_off);
        }
        self.again(now);
    }

    pub(super) fn again(&mut self, now: BootTime) {
        self.asked = false;
        self.next_probe = now + self.back_off;
    }
}
