//! How long to wait after a failure. PURE.

use std::time::Duration;

/// First wait of a resource, a pair or an account.
pub const FIRST: Duration = Duration::from_secs(5);
/// Longest wait of a resource, a pair or an account.
pub const LONGEST: Duration = Duration::from_secs(300);

/// `first`, doubled `times` times, but at most `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first
        .saturating_mul(2u32.saturating_pow(times))
        .min(longest)
}

/// The wait after one more failure: twice `wait`, at most [`LONGEST`].
pub fn next(wait: Duration) -> Duration {
    doubled(wait, 1, LONGEST)
}

#[cfg(test)]
mod tests {
    use crate::back_off::{FIRST, LONGEST, doubled};

    #[test]
    fn it_doubles_up_to_the_longest_without_overflow() {
        let waits =
            [0, 1, 5, 6, 40, u32::MAX].map(|times| doubled(FIRST, times, LONGEST).as_secs());
        assert_eq!(waits, [5, 10, 160, 300, 300, 300]);
    }
}
