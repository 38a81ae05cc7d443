//! Holds: one cause that would hit every resource stops the whole account. PURE.

use std::time::Duration;

use crate::clock::BootTime;
pub use crate::fact::HoldCause as Cause;

const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// After a probe that ended without finding anything out.
const IDLE_PROBE: Duration = Duration::from_secs(1);
/// Unknown outcomes in a row that start a hold: an outage must not turn every code into one.
const UNKNOWN_IN_A_ROW: u32 = 3;

/// What a request says about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The account works, as far as this kind of request can tell.
    Works,
    /// It does not, for this cause.
    Fails(Cause),
    /// The outcome is not known.
    Unknown,
}

/// Which request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A submission.
    Verify,
    /// A status read.
    Read,
}

/// How a hold is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeBy {
    /// By a status read, without a claim.
    Read,
    /// By one real attempt at a time: a read cannot tell.
    Attempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    cause: Cause,
    next_probe: BootTime,
    back_off: Duration,
}

/// The hold of one account, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    held: Option<Held>,
    unknown_in_a_row: u32,
}

impl Hold {
    /// The cause and the next probe.
    pub fn current(&self) -> Option<(Cause, BootTime)> {
        self.held.map(|held| (held.cause, held.next_probe))
    }

    /// How the hold is probed.
    pub fn probe_by(&self) -> Option<ProbeBy> {
        self.held.map(|held| match held.cause {
            Cause::Credentials | Cause::Clock | Cause::Transport => ProbeBy::Read,
            Cause::Account => ProbeBy::Attempt,
        })
    }

    /// A hold that the last process left behind, never for more than 5 min.
    pub fn assume(&mut self, cause: Cause, until: BootTime, now: BootTime) {
        if self.held.is_none() {
            let next_probe = until.min(now + LONGEST_BACK_OFF);
            self.held = Some(Held {
                cause,
                next_probe,
                back_off: FIRST_BACK_OFF,
            });
        }
    }

    /// A request told something.
    pub fn told(&mut self, kind: Kind, sign: Sign, now: BootTime) {
        match (kind, sign) {
            (Kind::Verify, Sign::Works) => {
                self.unknown_in_a_row = 0;
                self.held = None;
            }
            (Kind::Verify, Sign::Fails(cause)) => {
                self.unknown_in_a_row = 0;
                self.fail(cause, now);
            }
            (Kind::Verify, Sign::Unknown) => {
                self.unknown_in_a_row += 1;
                if self.unknown_in_a_row >= UNKNOWN_IN_A_ROW {
                    self.fail(Cause::Transport, now);
                }
            }
            (Kind::Read, Sign::Works) => {
                if self.probe_by() == Some(ProbeBy::Read) {
                    self.held = None;
                    self.unknown_in_a_row = 0;
                }
            }
            (Kind::Read, Sign::Fails(cause @ (Cause::Credentials | Cause::Clock))) => {
                self.fail(cause, now);
            }
            // A read that cannot be made holds nothing by itself; as a probe it has failed.
            (Kind::Read, Sign::Fails(Cause::Account | Cause::Transport) | Sign::Unknown) => {
                if let Some(held) = self.held.filter(|_| self.probe_by() == Some(ProbeBy::Read)) {
                    self.fail(held.cause, now);
                }
            }
        }
    }

    /// Starts the hold, or backs off further if a probe was due.
    fn fail(&mut self, cause: Cause, now: BootTime) {
        let back_off = match self.held {
            None => FIRST_BACK_OFF,
            // What was under way when the hold began says nothing new.
            Some(held) if now < held.next_probe && held.cause == cause => return,
            Some(held) if held.cause == cause => (held.back_off * 2).min(LONGEST_BACK_OFF),
            Some(held) => held.back_off,
        };
        self.held = Some(Held {
            cause,
            next_probe: now + back_off,
            back_off,
        });
    }

    /// A probe ended without having found anything out.
    pub fn probe_idle(&mut self, now: BootTime) {
        if let Some(held) = &mut self.held {
            held.next_probe = held.next_probe.max(now + IDLE_PROBE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn back_off_doubles_from_five_seconds_to_five_minutes() {
        let mut hold = Hold::default();
        let mut now = s(100);
        let mut waits = Vec::new();
        for _ in 0..8 {
            hold.told(Kind::Verify, Sign::Fails(Cause::Account), now);
            let next = hold.current().map_or(now, |(_, next)| next);
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn what_was_under_way_does_not_back_off_further() {
        let mut hold = Hold::default();
        for n in 0..20 {
            hold.told(
                Kind::Verify,
                Sign::Fails(Cause::Credentials),
                s(100) + Duration::from_millis(n),
            );
        }
        assert_eq!(hold.current(), Some((Cause::Credentials, s(105))));
    }

    #[test]
    fn a_read_ends_what_a_read_can_tell_and_an_attempt_ends_everything() {
        for (cause, ended_by_read) in [
            (Cause::Credentials, true),
            (Cause::Clock, true),
            (Cause::Transport, true),
            (Cause::Account, false),
        ] {
            let mut hold = Hold::default();
            hold.told(Kind::Verify, Sign::Fails(cause), s(1));
            hold.told(Kind::Read, Sign::Works, s(2));
            assert_eq!(hold.current().is_none(), ended_by_read, "{cause:?}");
            hold.told(Kind::Verify, Sign::Works, s(3));
            assert_eq!(hold.current(), None);
        }
    }

    #[test]
    fn three_unknown_in_a_row_hold_and_an_answer_breaks_the_row() {
        let mut hold = Hold::default();
        for sign in [
            Sign::Unknown,
            Sign::Unknown,
            Sign::Works,
            Sign::Unknown,
            Sign::Unknown,
        ] {
            hold.told(Kind::Verify, sign, s(1));
            assert_eq!(hold.current(), None);
        }
        hold.told(Kind::Verify, Sign::Unknown, s(2));
        assert_eq!(hold.current(), Some((Cause::Transport, s(7))));
    }

    #[test]
    fn failing_reads_hold_nothing_unless_they_name_the_key_or_the_clock() {
        let mut hold = Hold::default();
        for sign in [
            Sign::Unknown,
            Sign::Fails(Cause::Transport),
            Sign::Fails(Cause::Account),
        ] {
            hold.told(Kind::Read, sign, s(1));
            assert_eq!(hold.current(), None);
        }
        hold.told(Kind::Read, Sign::Fails(Cause::Clock), s(1));
        assert_eq!(hold.current(), Some((Cause::Clock, s(6))));
    }

    #[test]
    fn an_assumed_hold_is_short() {
        let mut hold = Hold::default();
        hold.assume(Cause::Account, s(100_000), s(10));
        assert_eq!(hold.current(), Some((Cause::Account, s(310))));
    }
}
