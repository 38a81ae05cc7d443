//! Who gets a turn, and when that may change. PURE.

use super::{Account, Effect, ProbeHolder, TurnId};
use crate::clock::BootTime;
use crate::quota::TurnKind;
use crate::quota::hold::ProbeKind;
use crate::quota::queue::Waiting;

impl Account {
    /// What may change the number of turns by itself.
    pub(super) fn turn_events(&self, now: BootTime) -> [Option<BootTime>; 3] {
        let pacer = &self.verify.pacer;
        [
            self.hold.next_event(),
            pacer.paused_until(now),
            pacer.probe_until(),
        ]
    }

    pub(super) fn grant_turns(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        if !self.active {
            return;
        }
        if self.hold.view().is_some() {
            self.grant_probe(now, effects);
            return;
        }
        let worst_preparation = self.preparation.get(now);
        let allowed = self.verify.pacer.turns_allowed(now, worst_preparation);
        while self.turns.len() < allowed
            && let Some(next) = self.queue.pop()
        {
            self.grant(next, TurnKind::Normal, now, effects);
        }
    }

    fn grant_probe(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        if self.verify.pacer.paused_until(now).is_some() {
            return;
        }
        let Some(probe) = self.hold.probe_due(now) else {
            return;
        };
        let Some(next) = self.rotation.next(&mut self.queue) else {
            return;
        };
        let kind = match probe {
            ProbeKind::Read => TurnKind::ProbeRead,
            ProbeKind::Attempt => TurnKind::ProbeAttempt,
        };
        let id = self.grant(next, kind, now, effects);
        self.hold.probe_started(probe, now);
        self.probe = Some(ProbeHolder::Turn(id));
    }

    fn grant(
        &mut self,
        waiting: Waiting,
        kind: TurnKind,
        now: BootTime,
        effects: &mut Vec<Effect>,
    ) -> TurnId {
        effects.push(Effect::Wake(waiting.ticket.key()));
        self.turns.grant(waiting, kind, now)
    }
}
