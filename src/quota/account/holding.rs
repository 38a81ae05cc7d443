//! What the beginning and the end of a hold do to the turns that are out. PURE.

use super::super::TurnKind;
use super::super::hold::ProbeKind;
use super::{Account, ProbeHolder};
use crate::clock::BootTime;

impl Account {
    /// A hold began: nobody may go on with a turn from before it.
    pub(super) fn void_turns(&mut self) {
        self.probe = None;
        for grant in self.turns.withdraw(|_| true) {
            if !grant.taken {
                self.queue.put_back(grant.waiting);
            }
        }
    }

    pub(super) fn take_back_untaken(&mut self, now: BootTime) {
        for grant in self.turns.withdraw(|grant| !grant.taken) {
            self.probe_gone(ProbeHolder::Turn(grant.id), now);
            self.queue.put_back(grant.waiting);
        }
    }

    /// The hold goes on: the turn that probed it is void.
    pub(super) fn probe_failed(&mut self) {
        if let Some(ProbeHolder::Turn(id)) = self.probe.take() {
            for grant in self.turns.withdraw(|grant| grant.id == id) {
                if !grant.taken {
                    self.queue.put_back(grant.waiting);
                }
            }
        }
    }

    /// A read ended a hold. The probe's turn goes on: as an ordinary one, or as the
    /// probe of the `Account` hold that was underneath.
    pub(super) fn reads_pass(&mut self, now: BootTime) {
        self.verify.pacer.prove();
        let turn = match self.probe {
            Some(ProbeHolder::Turn(id)) => Some(id),
            Some(ProbeHolder::Send(_)) | None => None,
        };
        if self.hold.view().is_none() {
            if let Some(id) = turn {
                self.turns.set_kind(id, TurnKind::Normal);
            }
            self.probe = None;
            self.rotation.clear();
        } else if let Some(id) = turn
            && self.turns.set_kind(id, TurnKind::ProbeAttempt)
        {
            self.hold.probe_started(ProbeKind::Attempt, now);
        } else {
            self.probe = None;
        }
    }

    /// The probe ended without a call.
    pub(super) fn probe_gone(&mut self, holder: ProbeHolder, now: BootTime) {
        if self.probe == Some(holder) {
            self.probe = None;
            self.hold.probe_unused(now);
        }
    }
}
