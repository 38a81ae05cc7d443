//! Effects on outstanding turns when a hold or the brake begins or ends. PURE.

use super::super::TurnKind;
use super::super::brake::{BrakeChange, Said};
use super::super::hold::ProbeKind;
use super::turns::Grant;
use super::{Account, ProbeHolder};
use crate::clock::BootTime;
use crate::quota::{Action, Report};

impl Account {
    /// Processes the result of the submission of `uid`; `refused_with` is the Code of a refusal.
    pub fn report_submission(
        &mut self,
        uid: &str,
        report: Report,
        refused_with: Option<&str>,
        now: BootTime,
    ) -> BrakeChange {
        let said = match (report, refused_with) {
            (Report::Answered, Some(code)) => Said::Refused(code),
            (Report::Answered, None) => Said::Accepted,
            (Report::Unknown, _) => Said::Nothing,
            (Report::Throttled { .. } | Report::Blocked(_) | Report::NotSent, _) => {
                Said::NotExecuted
            }
        };
        let change = self.brake.answered(uid, said, now);
        match &change {
            BrakeChange::None | BrakeChange::Closed => {}
            BrakeChange::Opened => self.void_turns(now),
            BrakeChange::PairBraked(pair) => {
                self.withdraw(|grant| grant.waiting.queue_entry.pair() == *pair, now);
            }
        }
        self.report(Action::ChatappMigrationVerified, report, now);
        change
    }

    /// A hold began, or the brake opened: turns granted before are void.
    pub(super) fn void_turns(&mut self, now: BootTime) {
        self.probe = None;
        self.withdraw(|_| true, now);
    }

    /// Withdraws turns. An untaken turn goes back to its place in the queue.
    fn withdraw(&mut self, which: impl Fn(&Grant) -> bool, now: BootTime) {
        for grant in self.turns.withdraw(which) {
            self.brake.unused(&grant.waiting.queue_entry.uid, now);
            self.probe_gone(ProbeHolder::Turn(grant.id), now);
            if !grant.taken {
                self.queue.put_back(grant.waiting);
            }
        }
    }

    pub(super) fn take_back_untaken(&mut self, now: BootTime) {
        self.withdraw(|grant| !grant.taken, now);
    }

    /// The probe failed and the hold continues: the turn of the probe is void.
    pub(super) fn probe_failed(&mut self, now: BootTime) {
        if let Some(ProbeHolder::Turn(id)) = self.probe.take() {
            self.withdraw(|grant| grant.id == id, now);
        }
    }

    /// A read ended a hold. If the brake admits the probe's turn, the turn continues: as a normal
    /// turn, or as the probe of the `Account` hold that was suspended.
    pub(super) fn reads_pass(&mut self, now: BootTime) {
        self.verify.pacer.prove();
        let turn = match self.probe.take() {
            Some(ProbeHolder::Turn(id)) => Some(id),
            Some(ProbeHolder::Send(_)) | None => None,
        };
        let is_over = self.hold.view().is_none();
        if is_over {
            self.rotation.clear();
        }
        let Some(id) = turn else { return };
        let Some(queue_entry) = self.turns.queue_entry(id).cloned() else {
            return;
        };
        if !self.brake.admits(&queue_entry.pair(), now) {
            self.withdraw(|grant| grant.id == id, now);
            return;
        }
        self.brake.granted(&queue_entry, now);
        if is_over {
            self.turns.set_kind(id, TurnKind::Normal);
        } else {
            self.turns.set_kind(id, TurnKind::ProbeAttempt);
            self.hold.probe_started(ProbeKind::Attempt, now);
            self.probe = Some(ProbeHolder::Turn(id));
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
