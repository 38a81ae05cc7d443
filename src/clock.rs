//! The only place that reads a clock or the system's randomness.
//!
//! Everything else receives time and random bytes as values.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Time since boot, suspended time included (`CLOCK_BOOTTIME`).
///
/// `std::time::Instant` stops while the machine is suspended. With it, a process that was suspended
/// for an hour would still take its signature for fresh.
pub type BootTime = Duration;

/// One reading of both clocks. A step of the wall clock does not move `boot`. If a virtual machine
/// was paused with its clocks frozen, only `wall` can show the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, UTC.
    pub wall: Timestamp,
    /// Time since boot.
    pub boot: BootTime,
}

/// Reads both clocks.
pub fn now() -> Now {
    Now {
        wall: Timestamp::now(),
        boot: boot(),
    }
}

/// Reads the boot clock.
pub fn boot() -> BootTime {
    let t = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or(0),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}

/// Fills `N` bytes from the operating system's generator.
///
/// # Errors
/// When the operating system supplies no random bytes; the caller must not sign then.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
