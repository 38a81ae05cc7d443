//! The ten-back rule: no N + 1 calls within one window of the server's. PURE.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use super::allowance::Allowance;
use super::{DEADLINE, SendId};
use crate::clock::BootTime;

/// The server's window.
pub const WINDOW: Duration = Duration::from_secs(1);
/// Keeps the window's two ends apart, should it include both.
pub(super) const CLOSED_WINDOW: Duration = Duration::from_millis(1);

/// A send of the last N.
#[derive(Debug)]
struct Sent {
    id: SendId,
    at: BootTime,
    handed: Option<BootTime>,
    replied: Option<BootTime>,
}

/// The last N sends.
#[derive(Debug)]
pub(super) struct Window {
    quota: usize,
    /// Oldest first.
    sends: VecDeque<Sent>,
}

impl Window {
    pub(super) fn new(quota: NonZeroU32) -> Self {
        Self {
            quota: usize::try_from(quota.get()).unwrap_or(usize::MAX),
            sends: VecDeque::new(),
        }
    }

    /// From when on another call may leave.
    pub(super) fn free_at(&self, now: BootTime, allowance: &Allowance) -> BootTime {
        match self.sends.front() {
            Some(oldest) if self.sends.len() >= self.quota => {
                oldest.arrived_by(now, allowance) + WINDOW + CLOSED_WINDOW
            }
            Some(_) | None => BootTime::ZERO,
        }
    }

    /// Notes a send. What it pushes out has left the window, or it would not be free.
    pub(super) fn send(&mut self, id: SendId, at: BootTime) {
        if self.sends.len() >= self.quota {
            self.sends.pop_front();
        }
        self.sends.push_back(Sent {
            id,
            at,
            handed: None,
            replied: None,
        });
    }

    /// Handed to its connection. How late that was, the first time.
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

    /// No reply will be read, and nothing is handed over any more.
    pub(super) fn given_up(&mut self, id: SendId, at: BootTime) {
        if let Some(sent) = self.find(id) {
            sent.handed.get_or_insert(at);
        }
    }

    /// It never left. A gap is safe: whatever was pushed out since had left the window,
    /// and time only grows.
    pub(super) fn forget(&mut self, id: SendId) {
        self.sends.retain(|sent| sent.id != id);
    }

    fn find(&mut self, id: SendId) -> Option<&mut Sent> {
        self.sends.iter_mut().rev().find(|sent| sent.id == id)
    }
}

impl Sent {
    /// The latest moment at which the server can have counted this call.
    ///
    /// J counts from the send time and covers our own lateness too. If that was so large
    /// that less than half of what was learned is left for the network, the half counts
    /// from the moment the request was handed over (not yet handed over: not before
    /// now). Without this, one starved second lets two windows meet at the server.
    fn arrived_by(&self, now: BootTime, allowance: &Allowance) -> BootTime {
        let handed = self.handed.unwrap_or(now);
        let by_send = self.at + allowance.current(now);
        let by_hand = handed + allowance.learned(now) / 2;
        let replied = self.replied.unwrap_or(self.at + DEADLINE);
        by_send.max(by_hand).min(replied)
    }
}
