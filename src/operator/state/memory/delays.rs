//! Back-offs after failures and after conflicts. PURE.

use std::time::Duration;

use crate::back_off::{self, doubled};

const SLOWEST_CONFLICT: Duration = Duration::from_secs(5);

/// The back-off after so many failures: 5 s doubling to 5 min.
pub fn back_off(failures: u32) -> Duration {
    doubled(back_off::FIRST, failures, back_off::LONGEST)
}

/// The back-off after so many conflicts in a row: 10 ms doubling to 5 s, since a server may keep
/// answering so.
pub fn conflict_back_off(conflicts: u32) -> Duration {
    doubled(Duration::from_millis(10), conflicts, SLOWEST_CONFLICT)
}
