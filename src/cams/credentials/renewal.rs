//! Schedule for the use and the renewal of a temporary key. PURE: the caller passes in time and
//! jitter.
//!
//! | Event of a key that lives an hour | Time |
//! |---|---|
//! | renewal | with 15 min (and up to 60 s of jitter) left, or half of a shorter life |
//! | end of use | 60 s before its end, or a tenth of a life shorter than 10 min |
//! | a renewal failed, or CAMS refuses the key | again after 5 s, 10 s, 20 s, 40 s, then every 60 s |
//!
//! Danger: the 60 s keep a frozen signature inside the life of its key. The client checks the end
//! of use at the send gate, after which a call gets at most 5 s for its slot and 10 s for its
//! reply. So the key of every request is still valid when the request arrives.

use std::time::Duration;

use crate::back_off;
use crate::clock::BootTime;

/// Rest of a long life at which the key is renewed.
const LEAD: Duration = Duration::from_secs(15 * 60);
/// Maximum jitter of the lead.
pub const MOST_JITTER: Duration = Duration::from_secs(60);
/// Rest of a long life at which the use of the key ends.
const RESERVE: Duration = Duration::from_secs(60);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// The life of a temporary key, by the boot clock: a step of the wall clock does not move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the operator requested the key.
    pub begin: BootTime,
    /// When the key ends.
    pub end: BootTime,
}

impl Life {
    fn length(self) -> Duration {
        self.end.saturating_sub(self.begin)
    }

    /// From this time on the operator neither signs nor sends with the key.
    pub fn use_until(self) -> BootTime {
        self.end.saturating_sub(RESERVE.min(self.length() / 10))
    }

    fn renew_at(self, jitter: Duration) -> BootTime {
        let lead = (LEAD + jitter.min(MOST_JITTER)).min(self.length() / 2);
        self.end.saturating_sub(lead)
    }
}

/// When the next exchange with STS is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renewal {
    /// Life of the newest key, and the jitter of its renewal.
    life: Option<(Life, Duration)>,
    /// When the last exchange ended.
    tried: Option<BootTime>,
    /// True if the last exchange failed.
    failing: bool,
    /// Exchanges in a row that brought no key that CAMS accepts.
    in_vain: u32,
}

impl Renewal {
    /// When the next exchange is due. `refused`: CAMS refuses the key in use.
    pub fn due_at(&self, refused: bool) -> BootTime {
        let Some(tried) = self.tried else {
            return BootTime::ZERO;
        };
        match self.life {
            // Limits the exchanges if STS returns a key that is already old.
            Some((life, jitter)) if !self.failing && !refused => {
                life.renew_at(jitter).max(tried + back_off::FIRST)
            }
            Some(_) | None => tried + back_off(self.in_vain),
        }
    }

    /// An exchange brought a key.
    pub fn succeeded(&mut self, life: Life, jitter: Duration, refused: bool, now: BootTime) {
        self.life = Some((life, jitter));
        self.tried = Some(now);
        self.failing = false;
        // A new key does not prove that CAMS accepts it.
        self.in_vain = if refused { self.in_vain + 1 } else { 0 };
    }

    /// An exchange brought no key.
    pub fn failed(&mut self, now: BootTime) {
        self.tried = Some(now);
        self.failing = true;
        self.in_vain = self.in_vain.saturating_add(1);
    }
}

fn back_off(in_vain: u32) -> Duration {
    let doublings = in_vain.saturating_sub(1);
    back_off::doubled(back_off::FIRST, doublings, MAX_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn life(begin: u64, end: u64) -> Life {
        let (begin, end) = (s(begin), s(end));
        Life { begin, end }
    }

    #[test]
    fn a_key_is_used_until_a_minute_before_its_end_and_renewed_long_before() {
        // (life, jitter, renewed at, used until)
        let table = [
            (life(0, 3600), 0, 2700, 3540),
            (life(1000, 4600), 60, 3640, 4540),
            // More jitter than the maximum.
            (life(0, 3600), 600, 2640, 3540),
            // The shortest life that STS gives, and shorter ones of other issuers.
            (life(0, 900), 60, 450, 840),
            (life(0, 600), 0, 300, 540),
            (life(0, 20), 0, 10, 18),
            (life(0, 0), 0, 0, 0),
        ];
        for (life, jitter, renewed, used) in table {
            assert_eq!(life.renew_at(s(jitter)), s(renewed), "{life:?}");
            assert_eq!(life.use_until(), s(used), "{life:?}");
        }
    }

    #[test]
    fn failures_back_off_from_five_seconds_to_a_minute() {
        let mut renewal = Renewal::default();
        assert_eq!(renewal.due_at(false), s(0), "at once at the start");
        let mut now = s(100);
        for wait in [5, 10, 20, 40, 60, 60] {
            renewal.failed(now);
            assert_eq!(renewal.due_at(false), now + s(wait));
            now += s(wait);
        }
        let key = Life {
            begin: now,
            end: now + s(3600),
        };
        renewal.succeeded(key, s(0), false, now);
        assert_eq!(renewal.due_at(false), now + s(2700));
        // A failed renewal does not wait for the key's end, and backs off as without a key.
        for (failed, again) in [(2700, 2705), (2705, 2715), (2715, 2735)] {
            renewal.failed(now + s(failed));
            assert_eq!(renewal.due_at(false), now + s(again));
        }
    }

    #[test]
    fn a_key_that_cams_refuses_is_renewed_at_once_and_then_more_and_more_rarely() {
        let mut renewal = Renewal::default();
        renewal.succeeded(life(0, 3600), s(0), false, s(1));
        assert!(renewal.due_at(true) <= s(6), "long ago in practice");
        let mut now = s(500);
        for wait in [5, 10, 20, 40, 60, 60] {
            let key = Life {
                begin: now,
                end: now + s(3600),
            };
            renewal.succeeded(key, s(0), true, now);
            assert_eq!(renewal.due_at(true), now + s(wait));
            assert_eq!(renewal.due_at(false), now + s(2700), "taken after all");
            now += s(wait);
        }
    }

    #[test]
    fn an_old_key_is_not_asked_for_all_the_time() {
        let mut renewal = Renewal::default();
        renewal.succeeded(life(100, 102), s(0), false, s(100));
        assert_eq!(renewal.due_at(false), s(105));
    }

    /// Six hours of steady work, whatever the jitter: at most two exchanges in any hour.
    #[test]
    fn steady_work_asks_sts_at_most_twice_in_an_hour() {
        for jitter in [0, 30, 60] {
            let mut renewal = Renewal::default();
            let mut at = Vec::new();
            for now in (0..6 * 3600).map(s) {
                if renewal.due_at(false) <= now {
                    at.push(now);
                    let end = now + s(3600);
                    renewal.succeeded(Life { begin: now, end }, s(jitter), false, now);
                }
            }
            let most = at
                .iter()
                .map(|from| {
                    at.iter()
                        .filter(|t| (*from..*from + s(3600)).contains(*t))
                        .count()
                })
                .max();
            assert_eq!(most, Some(2), "{at:?}");
        }
    }
}
