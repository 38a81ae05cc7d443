//! The only place that reads a clock or the system's randomness.
//!
//! Everything else receives time and random bytes as values.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Time since boot, suspended time included (`CLOCK_BOOTTIME`).
///
/// `std::time::Instant` stands still while a guest is suspended, which would let a
/// process that slept for an hour believe that its signature is fresh.
pub type BootTime = Duration;

/// One reading of both clocks. A step of the wall clock does not move `boot`, and a
/// virtual machine that was paused with its clocks frozen shows it in `wall`.
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
/// When the operating system has no randomness to give; nothing may be signed then.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
