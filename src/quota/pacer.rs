//! When the next call of one action may leave. PURE: time is passed in.
//!
//! For a quota of N calls per second, whatever shape the server's window has:
//!
//! - **Spacing**: sends are 0.8/N apart at full rate, 1/rate apart when reduced.
//! - **The ten-back rule** (N-back): `s[i+N] >= min(r[i], s[i] + J) + 1 s`, with s the
//!   send time, r the reply time (a reply proves the arrival) and J the allowance for
//!   late arrival. A call without a reply counts as replied at its deadline. Plus 1 ms,
//!   so that a closed window `[t, t + 1 s]` holds no more than N either.
//! - A request that is handed to its connection late (a starved process) arrives late:
//!   half of the J that was learned counts from there. One that is not handed over yet
//!   has not left, and its second has not begun.
//!
//! Subtracting a round trip would not be safe: most of it can be the server's work
//! after it counted. With J at its maximum the rule is anchored on the reply and holds
//! for every answered call, whatever the network does.
//!
//! On a throttle: pause, halve the rate, one probe at a time, then recover. With
//! unlimited quota there is no spacing and no window, but throttles still pause.

mod ahead;
mod allowance;
mod rate;
mod spacing;
mod window;

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::BootTime;
use allowance::Allowance;
use rate::Rate;
use spacing::Spacing;
use window::{CLOSED_WINDOW, Window};

pub use window::WINDOW;

/// A call has ended this long after its send, one way or the other.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// No pause is longer, whatever the server asks for.
pub const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Names one send of one pacer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendId(u64);

/// The probe after a throttle.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    /// The next send is the probe.
    Due,
    /// It is out; nothing else may leave before `until`.
    Out { id: SendId, until: BootTime },
    /// It has ended; the report on it is due.
    Ended { until: BootTime },
}

/// What throttles left behind.
#[derive(Debug)]
enum Trust {
    /// The rate may be used.
    Full,
    /// One send at a time until one is answered. `throttles` in a row, 0 if something
    /// else than a throttle asked for proof.
    Probing { probe: Probe, throttles: u32 },
}

/// What an unlimited quota does without.
#[derive(Debug)]
struct Limits {
    rate: Rate,
    spacing: Spacing,
    window: Window,
}

/// The pacer of one action.
#[derive(Debug)]
pub struct Pacer {
    limits: Option<Limits>,
    allowance: Allowance,
    trust: Trust,
    /// End of the silent window or the pause.
    silent_until: BootTime,
    paused_until: BootTime,
    next_id: u64,
}

impl Pacer {
    /// A pacer for `qps` calls per second, 0 for unlimited, that starts with a silent
    /// window: an earlier process may have used the quota until now.
    pub fn new(qps: u32, now: BootTime) -> Self {
        let limits = NonZeroU32::new(qps).map(|quota| {
            let rate = Rate::new(quota);
            Limits {
                spacing: Spacing::new(rate.period(now)),
                window: Window::new(quota),
                rate,
            }
        });
        let mut pacer = Self {
            limits,
            allowance: Allowance::new(now),
            trust: Trust::Full,
            silent_until: BootTime::ZERO,
            paused_until: BootTime::ZERO,
            next_id: 0,
        };
        pacer.silent_window(now);
        pacer
    }

    /// Nothing leaves for a full window from `now`: another process used the quota.
    pub fn silent_window(&mut self, now: BootTime) {
        if self.limits.is_some() {
            let end = now + WINDOW + CLOSED_WINDOW + self.allowance(now);
            self.silent_until = self.silent_until.max(end);
        }
    }

    /// Takes the send at `now`.
    ///
    /// # Errors
    /// The earliest moment, later than `now`, at which it is worth asking again; an
    /// event (a reply, a report) may make it earlier.
    pub fn try_send(&mut self, now: BootTime) -> Result<SendId, BootTime> {
        self.may_send(now)?;
        let id = SendId(self.next_id);
        if let Some(limits) = &mut self.limits {
            let free_at = limits.window.free_at(now, &self.allowance);
            if free_at > now {
                return Err(free_at);
            }
            limits.spacing.take(now, limits.rate.period(now))?;
            limits.window.send(id, now);
        }
        self.next_id += 1;
        if let Trust::Probing { probe, .. } = &mut self.trust {
            *probe = Probe::Out {
                id,
                until: now + DEADLINE,
            };
        }
        Ok(id)
    }

    /// Silence, pause, and the one probe.
    fn may_send(&mut self, now: BootTime) -> Result<(), BootTime> {
        let quiet_until = self.silent_until.max(self.paused_until);
        if now < quiet_until {
            return Err(quiet_until);
        }
        match &mut self.trust {
            Trust::Full
            | Trust::Probing {
                probe: Probe::Due, ..
            } => Ok(()),
            Trust::Probing {
                probe: Probe::Out { until, .. } | Probe::Ended { until },
                ..
            } if now < *until => Err(*until),
            Trust::Probing { .. } => Ok(()),
        }
    }

    /// The request of `id` was handed to its connection.
    pub fn handed(&mut self, id: SendId, at: BootTime) {
        let lateness = self.window_mut().and_then(|window| window.handed(id, at));
        if let Some(lateness) = lateness {
            self.allowance.late(at, lateness);
        }
    }

    /// The reply to `id` has been read.
    pub fn replied(&mut self, id: SendId, at: BootTime) {
        if let Some(window) = self.window_mut() {
            window.replied(id, at);
        }
        self.probe_ended(id);
    }

    /// No reply to `id` will be read: it counts as replied at its deadline.
    pub fn given_up(&mut self, id: SendId, at: BootTime) {
        if let Some(window) = self.window_mut() {
            window.given_up(id, at);
        }
        self.probe_ended(id);
    }

    /// No byte of `id` was handed to anybody: it never counted.
    pub fn unsent(&mut self, id: SendId) {
        if let Some(window) = self.window_mut() {
            window.forget(id);
        }
        if let Trust::Probing { probe, .. } = &mut self.trust
            && matches!(probe, Probe::Out { id: out, .. } if *out == id)
        {
            *probe = Probe::Due;
        }
    }

    fn window_mut(&mut self) -> Option<&mut Window> {
        self.limits.as_mut().map(|limits| &mut limits.window)
    }

    fn probe_ended(&mut self, ended: SendId) {
        if let Trust::Probing { probe, .. } = &mut self.trust
            && let Probe::Out { id, until } = *probe
            && id == ended
        {
            *probe = Probe::Ended { until };
        }
    }

    /// A call was answered with something else than a throttle. It passes the probe
    /// only if the probe has ended: calls sent before the throttle prove nothing.
    pub fn answered(&mut self, now: BootTime) {
        if matches!(
            self.trust,
            Trust::Probing {
                probe: Probe::Ended { .. },
                ..
            }
        ) {
            self.trust = Trust::Full;
            if let Some(limits) = &mut self.limits {
                limits.rate.recover(now);
            }
        }
    }

    /// A call ended without an answer of the API's: another probe may leave.
    pub fn unanswered(&mut self) {
        if let Trust::Probing { probe, .. } = &mut self.trust
            && matches!(probe, Probe::Ended { .. })
        {
            *probe = Probe::Due;
        }
    }

    /// A call was throttled. Gives the end of the pause, which goes for the account.
    ///
    /// Throttles of calls that were out when the pause began belong to it: they make
    /// it longer if the server asks so, and change nothing else.
    pub fn throttled(&mut self, now: BootTime, retry_after: Option<Duration>) -> BootTime {
        let asked = retry_after.unwrap_or_default().min(MAX_PAUSE);
        let throttles = match &self.trust {
            Trust::Full => 0,
            Trust::Probing { probe, throttles } => {
                if *probe == Probe::Due && *throttles > 0 {
                    self.allowance.not_quiet(now);
                    self.paused_until = self.paused_until.max(now + asked);
                    return self.paused_until;
                }
                *throttles
            }
        };
        self.allowance.double(now);
        if let Some(limits) = &mut self.limits {
            limits.rate.halve(now);
        }
        let first = WINDOW + CLOSED_WINDOW + self.allowance(now);
        let factor = 1u32.checked_shl(throttles).unwrap_or(u32::MAX);
        let own = first.saturating_mul(factor).min(MAX_PAUSE);
        self.trust = Trust::Probing {
            probe: Probe::Due,
            throttles: throttles.saturating_add(1),
        };
        self.pause(now + own.max(asked));
        self.paused_until
    }

    /// Nothing leaves before `until`: another action of the account was throttled.
    pub fn pause(&mut self, until: BootTime) {
        self.paused_until = self.paused_until.max(until);
    }

    /// One send at a time until one is answered: something else than a throttle has
    /// shaken the trust.
    pub fn prove(&mut self) {
        if matches!(self.trust, Trust::Full) {
            self.trust = Trust::Probing {
                probe: Probe::Due,
                throttles: 0,
            };
        }
    }

    /// J: the allowance for late arrival.
    pub fn allowance(&self, now: BootTime) -> Duration {
        self.allowance.current(now)
    }

    /// Calls per second that are aimed at; `None` is unlimited.
    pub fn rate(&self, now: BootTime) -> Option<f64> {
        self.limits
            .as_ref()
            .map(|limits| limits.rate.per_second(now))
    }

    /// End of the pause after a throttle, while it lasts.
    pub fn paused_until(&self, now: BootTime) -> Option<BootTime> {
        (now < self.paused_until).then_some(self.paused_until)
    }

    /// True while one call at a time may leave.
    pub fn is_probing(&self) -> bool {
        matches!(self.trust, Trust::Probing { .. })
    }

    /// When the probe that is out counts as lost, if one is.
    pub fn probe_until(&self) -> Option<BootTime> {
        match self.trust {
            Trust::Probing {
                probe: Probe::Out { until, .. } | Probe::Ended { until },
                ..
            } => Some(until),
            Trust::Probing {
                probe: Probe::Due, ..
            }
            | Trust::Full => None,
        }
    }
}
