//! One hold from its beginning to its end. PURE.

use std::time::Duration;

use super::{Cause, MAX_BACK_OFF};
use crate::clock::BootTime;

#[derive(Clone, Copy, Debug)]
pub(super) struct Episode {
    pub(super) cause: Cause,
    pub(super) back_off: Duration,
    pub(super) next_probe: BootTime,
}

impl Episode {
    pub(super) fn new(cause: Cause, now: BootTime, back_off: Duration) -> Self {
        Self {
            cause,
            back_off,
            next_probe: now + back_off,
        }
    }

    pub(super) fn fail(&mut self, now: BootTime) {
        self.back_off = self.back_off.saturating_mul(2).min(MAX_BACK_OFF);
        self.next_probe = now + self.back_off;
    }

    pub(super) fn again(&mut self, now: BootTime) {
        self.next_probe = now + self.back_off;
    }
}
