//! Grants turns, and gives the times at which more may be due. PURE.

use std::collections::HashSet;

use super::{Account, Effect, ProbeHolder, TurnId};
use crate::clock::BootTime;
use crate::quota::TurnKind;
use crate::quota::hold::ProbeKind;
use crate::quota::queue::Waiting;

impl Account {
    /// Times at which the number of turns may change without an event.
    pub(super) fn turn_events(&self, now: BootTime) -> impl Iterator<Item = Option<BootTime>> {
        let pacer = &self.verify.pacer;
        let events = [
            self.hold.next_event(),
            pacer.paused_until(now),
            pacer.probe_until(),
        ];
        events.into_iter().chain(self.brake.next_events().map(Some))
    }

    pub(super) fn grant_turns(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        if !self.active {
            return;
        }
        if self.hold.view().is_some() {
            self.grant_probe(now, effects);
            return;
        }
        let worst_preparation = self.preparation.get(now).unwrap_or_default();
        let allowed = self.verify.pacer.turns_allowed(now, worst_preparation);
        while self.turns.len() < allowed
            && let Some(next) = self.next_to_submit(now)
        {
            self.grant(next, TurnKind::Normal, now, effects);
        }
    }

    /// The next queue entry that the brake admits.
    fn next_to_submit(&mut self, now: BootTime) -> Option<Waiting> {
        let Self { brake, queue, .. } = self;
        if let Some(uid) = brake.asked(now)
            && let Some(asked) = queue.pop_uid(uid)
        {
            return Some(asked);
        }
        if brake.is_open() {
            let pair = brake.choose(queue.pairs(), now)?;
            return queue.pop_where(|other| *other == pair, &HashSet::new());
        }
        if brake.braked_pairs() == 0 {
            return queue.pop();
        }
        queue.pop_where(|pair| brake.admits(pair, now), &HashSet::new())
    }

    fn grant_probe(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        if self.verify.pacer.paused_until(now).is_some() {
            return;
        }
        let Some(probe) = self.hold.probe_due(now) else {
            return;
        };
        let Self {
            brake,
            queue,
            rotation,
            ..
        } = self;
        // A read spends no code, so the brake need not admit it.
        let (kind, next) = match probe {
            ProbeKind::Read => (TurnKind::ProbeRead, rotation.next(queue, |_| true)),
            ProbeKind::Attempt => {
                let next = rotation.next(queue, |pair| brake.admits(pair, now));
                (TurnKind::ProbeAttempt, next)
            }
        };
        let Some(next) = next else {
            return;
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
        effects.push(Effect::Wake(waiting.queue_entry.key()));
        match kind {
            TurnKind::Normal | TurnKind::ProbeAttempt => {
                self.brake.granted(&waiting.queue_entry, now)
            }
            TurnKind::ProbeRead => {}
        }
        self.turns.grant(waiting, kind, now)
    }
}
