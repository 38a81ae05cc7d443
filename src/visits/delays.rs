//! How long until the next look: polls of Secrets, failures, conflicts. PURE.

use std::time::Duration;

use crate::clock::BootTime;
use crate::reads::MAX_BACK_OFF;

const FIRST_POLL: Duration = Duration::from_secs(5);
const SLOWEST_FRESH_POLL: Duration = Duration::from_secs(60);
const FRESH: Duration = Duration::from_secs(30 * 60);
const STALE_POLL: Duration = Duration::from_secs(300);
const SLOWEST_CONFLICT: Duration = Duration::from_secs(5);

/// How long until the next look at a Secret, `unchanged` after the last change: growing from 5 s
/// to 60 s for half an hour, then every 5 min. `jitter` in 0..=255 shortens it by up to a tenth.
pub fn poll_delay(unchanged: Duration, jitter: u8) -> Duration {
    let delay = if unchanged < FRESH {
        (unchanged / 2).clamp(FIRST_POLL, SLOWEST_FRESH_POLL)
    } else {
        STALE_POLL
    };
    delay - delay * u32::from(jitter) / 2560
}

/// 5 s doubling to 5 min.
pub fn back_off(failures: u32) -> Duration {
    (Duration::from_secs(5) * 2u32.saturating_pow(failures.min(10))).min(MAX_BACK_OFF)
}

/// After so many conflicts in a row: 10 ms doubling to 5 s, since a server may go on answering so.
pub fn conflict_back_off(conflicts: u32) -> Duration {
    (Duration::from_millis(10) * 2u32.saturating_pow(conflicts.min(10))).min(SLOWEST_CONFLICT)
}

/// Between two looks that nothing waits for, all resources together: 20 a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Gives each look a time of its own. Whoever is early comes back then: thousands that ask again and
/// again for the next free moment would keep the process from everything else.
#[derive(Debug, Default)]
pub struct LookPacer {
    next: BootTime,
}

impl LookPacer {
    /// The time of the next look, not before `now`; it is taken.
    pub fn take(&mut self, now: BootTime) -> BootTime {
        let at = self.next.max(now);
        self.next = at + BETWEEN_LOOKS;
        at
    }
}
