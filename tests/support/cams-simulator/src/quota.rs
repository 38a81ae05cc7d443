//! Admission of calls by quota. PURE: time comes in as microseconds.

use std::collections::VecDeque;

use crate::settings::{Quota, QuotaKind};

/// Forgets arrivals that are older than the newest by more than this. A request is stamped when its
/// header was read but counted when its body has arrived, so stamps may come out of order.
const OUT_OF_ORDER_US: u64 = 60_000_000;

/// The admitted calls of one (account, action).
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Times that use up the window, ascending.
    counted: VecDeque<u64>,
    /// Bucket: tokens, in millionths, and when they were right.
    tokens: Option<(u64, u64)>,
}

impl Window {
    /// Counts an arrival; true when it is admitted.
    pub fn admit(&mut self, quota: Quota, at_us: u64) -> bool {
        if quota.limit == 0 {
            return true;
        }
        let admitted = match quota.kind {
            QuotaKind::Rolling => self.fits_rolling(quota, at_us),
            QuotaKind::Fixed => self.fits_fixed(quota, at_us),
            QuotaKind::Bucket => return self.take_token(quota, at_us),
        };
        if admitted || quota.count_throttled {
            let i = self.counted.partition_point(|&t| t <= at_us);
            self.counted.insert(i, at_us);
            self.forget(quota);
        }
        admitted
    }

    /// True if no run of `limit + 1` calls that includes this one lies in a closed window.
    fn fits_rolling(&self, quota: Quota, at_us: u64) -> bool {
        let limit = usize_of(quota.limit);
        let window = quota.window_ms * 1000;
        let i = self.counted.partition_point(|&t| t <= at_us);
        // With the new arrival at place i, the run that begins at k ends at k + limit.
        let with = |place: usize| match place.cmp(&i) {
            std::cmp::Ordering::Less => self.counted.get(place).copied(),
            std::cmp::Ordering::Equal => Some(at_us),
            std::cmp::Ordering::Greater => self.counted.get(place - 1).copied(),
        };
        (i.saturating_sub(limit)..=i).all(|k| match (with(k), with(k + limit)) {
            (Some(first), Some(last)) => last - first > window,
            _ => true,
        })
    }

    fn fits_fixed(&self, quota: Quota, at_us: u64) -> bool {
        let window = (quota.window_ms * 1000).max(1);
        let begin = at_us - at_us % window;
        let first = self.counted.partition_point(|&t| t < begin);
        let end = self.counted.partition_point(|&t| t < begin + window);
        end - first < usize_of(quota.limit)
    }

    fn take_token(&mut self, quota: Quota, at_us: u64) -> bool {
        const TOKEN: u64 = 1_000_000;
        let full = u64::from(quota.limit) * TOKEN;
        let (tokens, since) = self.tokens.unwrap_or((full, at_us));
        let elapsed = at_us.saturating_sub(since);
        let refill = elapsed.saturating_mul(full) / (quota.window_ms * 1000).max(1);
        let tokens = tokens.saturating_add(refill).min(full);
        let admitted = tokens >= TOKEN;
        let left = if admitted { tokens - TOKEN } else { tokens };
        self.tokens = Some((left, since.max(at_us)));
        admitted
    }

    fn forget(&mut self, quota: Quota) {
        let keep = OUT_OF_ORDER_US + quota.window_ms * 1000;
        if let Some(&newest) = self.counted.back() {
            while self.counted.front().is_some_and(|&t| t + keep < newest) {
                self.counted.pop_front();
            }
        }
    }
}

fn usize_of(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
