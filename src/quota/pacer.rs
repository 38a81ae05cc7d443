//! When the next call of one action may leave. PURE: the caller passes the time in.
//!
//! For a quota of N calls per second, whatever shape the server's window has:
//!
//! - **Spacing**: sends are 0.8/N apart at full rate, 1/rate apart when reduced.
//! - **The ten-back rule** (N-back): `s[i+N] >= min(r[i], s[i] + J) + 1 s`, with s the send time, r
//!   the reply time (a reply proves the arrival) and J the allowance for late arrival. A call
//!   without a reply counts as replied at its deadline. Plus 1 ms, so that a closed window `[t, t +
//!   1 s]` holds no more than N either.
//! - If a request is handed to its connection late (a starved process), it arrives late: half of
//!   the learned J counts from the handover. A request that is not handed over yet has not left,
//!   and its second has not begun.
//!
//! Subtracting a round trip would not be safe: most of it can be the server's work after it
//! counted. With J at its maximum the rule is anchored on the reply and holds for every answered
//! call, whatever the network does.
//!
//! The late arrival that round trips show counts before any throttle teaches J. A call counts as
//! late by the difference between its round trip and the shortest one; a call without a reply
//! counts as late as the slowest, up to 100 ms (`round_trips`).
//!
//! After a throttle: pause, one probe at a time, then recover (`phase`):
//!
//! - If the probe passes after other probes were throttled, the server was throttling at any rate.
//!   The rate and J go back at once to their values before the throttle.
//! - If the first probe passes, the rate halves and gains 0.5 a second. Exception, once in 30 s: if
//!   our own late arrival may explain the throttle, J doubles and the rate does not halve.
//! - If calls passed for less than 30 s since the last phase, the rate halves in any case.
//!
//! With unlimited quota there is no spacing and no window, but throttles still pause.

mod ahead;
mod allowance;
mod phase;
mod rate;
mod round_trips;
mod spacing;
mod window;

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::BootTime;
use allowance::Allowance;
use phase::{Before, Phase, Probe};
use rate::Rate;
use round_trips::RoundTrips;
use spacing::Spacing;
use window::{CLOSED_WINDOW, Lateness, Window};

pub use allowance::MOST as MOST_BY_ROUND_TRIPS;
pub use window::WINDOW;

/// After this time a call has ended: the client gives it up.
pub use crate::cams::REPLY_DEADLINE as DEADLINE;
/// Longest pause, whatever the server asks for.
pub const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Identifies one send of one pacer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendId(u64);

/// If a new phase of throttling begins within this time after the last one, its throttle always
/// reduces the rate.
const RELAPSE: Duration = Duration::from_secs(30);

/// State after a throttle.
#[derive(Debug)]
enum Trust {
    /// The pacer may use the rate.
    Full,
    /// One send at a time until one is answered.
    Probing(Phase),
}

/// State that an unlimited quota does not need.
#[derive(Debug)]
struct Limits {
    rate: Rate,
    spacing: Spacing,
    window: Window,
    round_trips: RoundTrips,
}

/// The pacer of one action.
#[derive(Debug)]
pub struct Pacer {
    limits: Option<Limits>,
    allowance: Allowance,
    trust: Trust,
    /// End of the last phase of throttling.
    recovered_at: Option<BootTime>,
    /// End of the silent window.
    silent_until: BootTime,
    paused_until: BootTime,
    next_id: u64,
}

impl Pacer {
    /// A pacer for `qps` calls per second, 0 for unlimited. It starts with a silent window: an
    /// earlier process may have used the quota until now.
    pub fn new(qps: u32, now: BootTime) -> Self {
        let limits = NonZeroU32::new(qps).map(|quota| {
            let rate = Rate::new(quota);
            Limits {
                spacing: Spacing::new(rate.period(now)),
                window: Window::new(quota),
                round_trips: RoundTrips::new(),
                rate,
            }
        });
        let mut pacer = Self {
            limits,
            allowance: Allowance::new(now),
            trust: Trust::Full,
            recovered_at: None,
            silent_until: BootTime::ZERO,
            paused_until: BootTime::ZERO,
            next_id: 0,
        };
        pacer.silent_window(now);
        pacer
    }

    /// No call leaves for a full window from `now`: another process used the quota.
    pub fn silent_window(&mut self, now: BootTime) {
        if self.limits.is_some() {
            let end = now + WINDOW + CLOSED_WINDOW + self.allowance(now);
            self.silent_until = self.silent_until.max(end);
        }
    }

    /// Takes the send at `now`.
    ///
    /// # Errors
    /// The earliest time, later than `now`, at which to ask again. An event (a reply, a report) may
    /// make it earlier.
    pub fn try_send(&mut self, now: BootTime) -> Result<SendId, BootTime> {
        self.may_send(now)?;
        let id = SendId(self.next_id);
        if let Some(limits) = &mut self.limits {
            let lateness = Lateness {
                allowance: &self.allowance,
                round_trips: &limits.round_trips,
            };
            let free_at = limits.window.free_at(now, lateness);
            if free_at > now {
                return Err(free_at);
            }
            limits.spacing.take(now, limits.rate.period(now))?;
            limits.window.send(id, now);
        }
        self.next_id += 1;
        if let Trust::Probing(phase) = &mut self.trust {
            phase.probe = Probe::Out {
                id,
                until: now + DEADLINE,
            };
        }
        Ok(id)
    }

    /// Checks the silent window, the pause, and the one probe.
    fn may_send(&mut self, now: BootTime) -> Result<(), BootTime> {
        let quiet_until = self.silent_until.max(self.paused_until);
        if now < quiet_until {
            return Err(quiet_until);
        }
        match &self.trust {
            Trust::Full => Ok(()),
            Trust::Probing(phase) => match phase.probe {
                Probe::Out { until, .. } | Probe::Ended { until } if now < until => Err(until),
                Probe::Due | Probe::Out { .. } | Probe::Ended { .. } => Ok(()),
            },
        }
    }

    /// The client handed the request of `id` to its connection.
    pub fn handed(&mut self, id: SendId, at: BootTime) {
        if let Some(limits) = &mut self.limits {
            limits.round_trips.handed(id, at);
            if let Some(lateness) = limits.window.handed(id, at) {
                self.allowance.late(at, lateness);
            }
        }
    }

    /// The client read the reply to `id`: an answer to a call that the server counted.
    pub fn replied(&mut self, id: SendId, at: BootTime) {
        if let Some(limits) = &mut self.limits {
            limits.round_trips.replied(id, at);
            limits.window.replied(id, at);
        }
        self.probe_ended(id);
    }

    /// The client read the reply to `id`; it is a throttle. The server did no work for it, so its
    /// round trip is not comparable with others.
    pub fn replied_throttled(&mut self, id: SendId, at: BootTime) {
        if let Some(limits) = &mut self.limits {
            limits.round_trips.forget(id);
            limits.window.replied(id, at);
        }
        self.probe_ended(id);
    }

    /// The client will read no reply to `id`: the call counts as replied at its deadline.
    pub fn given_up(&mut self, id: SendId, at: BootTime) {
        if let Some(limits) = &mut self.limits {
            limits.round_trips.forget(id);
            limits.window.given_up(id, at);
        }
        self.probe_ended(id);
    }

    /// No byte of `id` reached the connection: the call never counted.
    pub fn unsent(&mut self, id: SendId) {
        if let Some(limits) = &mut self.limits {
            limits.round_trips.forget(id);
            limits.window.forget(id);
        }
        if let Trust::Probing(phase) = &mut self.trust
            && matches!(phase.probe, Probe::Out { id: out, .. } if out == id)
        {
            phase.probe = Probe::Due;
        }
    }

    fn probe_ended(&mut self, ended: SendId) {
        if let Trust::Probing(phase) = &mut self.trust
            && let Probe::Out { id, until } = phase.probe
            && id == ended
        {
            phase.probe = Probe::Ended { until };
        }
    }

    /// A call had an answer other than a throttle. The probe passes only if the probe has ended:
    /// calls sent before the throttle prove nothing.
    pub fn answered(&mut self, now: BootTime) {
        let Trust::Probing(phase) = &self.trust else {
            return;
        };
        if !matches!(phase.probe, Probe::Ended { .. }) {
            return;
        }
        let forgiven = phase.before.filter(|_| phase.shut);
        if phase.throttles > 0 {
            self.recovered_at = Some(now);
        }
        self.trust = Trust::Full;
        if let Some(before) = forgiven {
            self.allowance.unlearn(now, before.learned);
        }
        if let Some(limits) = &mut self.limits {
            match forgiven {
                Some(before) => limits.rate.resume(before.rate, now),
                None => limits.rate.recover(now),
            }
        }
    }

    /// A call ended without an answer of the API: another probe may leave.
    pub fn unanswered(&mut self) {
        if let Trust::Probing(phase) = &mut self.trust
            && matches!(phase.probe, Probe::Ended { .. })
        {
            phase.probe = Probe::Due;
        }
    }

    /// A call was throttled. Returns the end of the pause, which applies to the whole account.
    ///
    /// Throttles of calls that were under way when the pause began belong to this pause: they make
    /// it longer if the server asks for that, and change nothing else.
    pub fn throttled(&mut self, now: BootTime, retry_after: Option<Duration>) -> BootTime {
        let asked = retry_after.unwrap_or_default().min(MAX_PAUSE);
        let j = self.allowance(now);
        let own = match &mut self.trust {
            Trust::Probing(phase) if phase.throttles > 0 => match phase.probe {
                Probe::Ended { .. } => {
                    phase.probe_throttled();
                    phase.pause(j)
                }
                Probe::Due | Probe::Out { .. } => Duration::ZERO,
            },
            Trust::Full | Trust::Probing(_) => {
                let phase = self.first_throttle(now);
                let pause = phase.pause(self.allowance(now));
                self.trust = Trust::Probing(phase);
                pause
            }
        };
        self.allowance.not_quiet(now);
        self.pause(now + own.max(asked));
        self.paused_until
    }

    /// Learns from the throttle that begins a phase.
    fn first_throttle(&mut self, now: BootTime) -> Phase {
        let Some(limits) = &mut self.limits else {
            return Phase::throttled(None);
        };
        let is_relapse = self
            .recovered_at
            .is_some_and(|at| now.saturating_sub(at) < RELAPSE);
        let before = Before {
            rate: limits.rate.aimed_at(now),
            learned: self.allowance.learned(now),
        };
        let may_be_ours = limits.window.left_on_trust(now);
        if may_be_ours {
            let spread = limits.round_trips.spread(now).unwrap_or_default();
            self.allowance.double(now, spread);
        }
        if may_be_ours && !is_relapse {
            limits.rate.stand_still(now);
        } else {
            limits.rate.halve(now);
        }
        Phase::throttled((!is_relapse).then_some(before))
    }

    /// True once a probe was throttled too, see [`Pacer::server_is_shut`].
    pub fn found_shut(&self) -> bool {
        matches!(&self.trust, Trust::Probing(phase) if phase.shut)
    }

    /// A probe of the account's other action was throttled after a silent second. So the rate did
    /// not cause the throttle that began this action's phase either.
    pub fn server_is_shut(&mut self) {
        if let Trust::Probing(phase) = &mut self.trust {
            phase.shut = true;
        }
    }

    /// No call leaves before `until`: a call of the account was throttled.
    pub fn pause(&mut self, until: BootTime) {
        self.paused_until = self.paused_until.max(until);
    }

    /// One send at a time until one is answered, for a reason other than a throttle.
    pub fn prove(&mut self) {
        if matches!(self.trust, Trust::Full) {
            self.trust = Trust::Probing(Phase::to_prove());
        }
    }

    /// J: the allowance for late arrival.
    pub fn allowance(&self, now: BootTime) -> Duration {
        self.allowance.current(now)
    }

    /// Target rate in calls per second; `None` is unlimited.
    pub fn rate(&self, now: BootTime) -> Option<f64> {
        self.limits
            .as_ref()
            .map(|limits| limits.rate.per_second(now))
    }

    /// End of the pause after a throttle; `None` when no pause runs.
    pub fn paused_until(&self, now: BootTime) -> Option<BootTime> {
        (now < self.paused_until).then_some(self.paused_until)
    }

    /// True while calls may leave only one at a time.
    pub fn is_probing(&self) -> bool {
        matches!(self.trust, Trust::Probing(_))
    }

    /// When the probe that is under way counts as lost, if there is one.
    pub fn probe_until(&self) -> Option<BootTime> {
        match &self.trust {
            Trust::Probing(phase) => match phase.probe {
                Probe::Out { until, .. } | Probe::Ended { until } => Some(until),
                Probe::Due => None,
            },
            Trust::Full => None,
        }
    }
}
