//! The ten-back rule: never N + 1 calls within one window of the server. PURE.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use super::allowance::Allowance;
use super::round_trips::RoundTrips;
use super::{DEADLINE, SendId};
use crate::clock::BootTime;

/// The server's window.
pub const WINDOW: Duration = Duration::from_secs(1);
/// Keeps the two ends of the window apart, in case the server's window includes both.
pub(super) const CLOSED_WINDOW: Duration = Duration::from_millis(1);

/// One of the last N sends.
#[derive(Debug)]
struct Sent {
    id: SendId,
    at: BootTime,
    handed: Option<BootTime>,
    replied: Option<BootTime>,
}

/// Evidence of late arrival.
#[derive(Clone, Copy)]
pub(super) struct Lateness<'a> {
    pub(super) allowance: &'a Allowance,
    pub(super) round_trips: &'a RoundTrips,
}

/// The last N sends.
#[derive(Debug)]
pub(super) struct Window {
    quota: usize,
    /// Oldest first.
    sends: VecDeque<Sent>,
    /// When a call last left before a reply had proved that its window was free.
    trusted_at: Option<BootTime>,
}

impl Window {
    pub(super) fn new(quota: NonZeroU32) -> Self {
        Self {
            quota: usize::try_from(quota.get()).unwrap_or(usize::MAX),
            sends: VecDeque::new(),
            trusted_at: None,
        }
    }

    /// From when on another call may leave.
    pub(super) fn free_at(&self, now: BootTime, lateness: Lateness<'_>) -> BootTime {
        match self.sends.front() {
            Some(oldest) if self.sends.len() >= self.quota => {
                oldest.arrived_by(now, lateness) + WINDOW + CLOSED_WINDOW
            }
            Some(_) | None => BootTime::ZERO,
        }
    }

    /// Records a send. The send that it pushes out has left the window; otherwise
    /// [`Window::free_at`] would not have allowed this one.
    pub(super) fn send(&mut self, id: SendId, at: BootTime) {
        if self.sends.len() >= self.quota
            && let Some(left) = self.sends.pop_front()
            && left.replied.is_none_or(|replied| replied + WINDOW > at)
        {
            self.trusted_at = Some(at);
        }
        self.sends.push_back(Sent {
            id,
            at,
            handed: None,
            replied: None,
        });
    }

    /// True if our own late arrival may explain a throttle read now: one of the calls that may have
    /// caused it left before a reply had proved that its window was free.
    pub(super) fn left_on_trust(&self, now: BootTime) -> bool {
        self.trusted_at
            .is_some_and(|at| now.saturating_sub(at) <= DEADLINE)
    }

    /// The client handed the call to its connection. Returns how late that was, the first time
    /// only.
    pub(super) fn handed(&mut self, id: SendId, at: BootTime) -> Option<Duration> {
        let sent = self.find(id).filter(|sent| sent.handed.is_none())?;
        sent.handed = Some(at);
        Some(at.saturating_sub(sent.at))
    }

    pub(super) fn replied(&mut self, id: SendId, at: BootTime) {
        if let Some(sent) = self.find(id) {
            sent.handed.get_or_insert(at);
            sent.replied.get_or_insert(at);
        }
    }

    /// The client reads no reply and hands nothing over any more.
    pub(super) fn given_up(&mut self, id: SendId, at: BootTime) {
        if let Some(sent) = self.find(id) {
            sent.handed.get_or_insert(at);
        }
    }

    /// The call never left. A gap is safe: any send that was pushed out since had left the window,
    /// and time only grows.
    pub(super) fn forget(&mut self, id: SendId) {
        self.sends.retain(|sent| sent.id != id);
    }

    fn find(&mut self, id: SendId) -> Option<&mut Sent> {
        self.sends.iter_mut().rev().find(|sent| sent.id == id)
    }
}

impl Sent {
    /// The latest time at which the server can have counted this call.
    ///
    /// J counts from the send time and covers our own lateness too. If our lateness leaves less
    /// than half of the learned J for the network, that half counts from the handover of the
    /// request (if not handed over yet: from now). Without this, one starved second lets two
    /// windows meet at the server.
    ///
    /// The lateness that round trips show also counts from the handover: the call's own once its
    /// reply has come, the path's until then. A single slow call costs only its own place.
    fn arrived_by(&self, now: BootTime, lateness: Lateness<'_>) -> BootTime {
        let Lateness {
            allowance,
            round_trips,
        } = lateness;
        let handed = self.handed.unwrap_or(now);
        let by_send = self.at + allowance.current(now);
        let round_trip = self.replied.map(|at| at.saturating_sub(handed));
        let told = round_trips.lateness(now, round_trip);
        let by_hand = handed + told.max(allowance.learned(now) / 2);
        let replied = self.replied.unwrap_or(self.at + DEADLINE);
        by_send.max(by_hand).min(replied)
    }
}
