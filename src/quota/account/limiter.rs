//! Limiter of one action: its pacer, and the waiters for a slot with their order. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::super::pacer::Pacer;
use super::super::{LimiterStats, Priority};
use super::{Effect, WaiterId};
use crate::clock::BootTime;

/// Every tenth slot goes to the oldest waiter. Otherwise a steady stream of attempts would starve
/// the status reads that observe open attempts.
const FOR_THE_OLDEST: u64 = 10;

#[derive(Debug)]
struct Waiter {
    priority: Priority,
    deadline: BootTime,
}

/// The pacer of one action and its waiters.
#[derive(Debug)]
pub(super) struct ActionLimiter {
    pub(super) pacer: Pacer,
    /// In order of age: ids only grow.
    waiting: BTreeMap<WaiterId, Waiter>,
    by_priority: BTreeSet<(Priority, WaiterId)>,
    by_deadline: BTreeSet<(BootTime, WaiterId)>,
    served: u64,
}

impl ActionLimiter {
    pub(super) fn new(pacer: Pacer) -> Self {
        Self {
            pacer,
            waiting: BTreeMap::new(),
            by_priority: BTreeSet::new(),
            by_deadline: BTreeSet::new(),
            served: 0,
        }
    }

    pub(super) fn wait(&mut self, id: WaiterId, priority: Priority, deadline: BootTime) {
        self.waiting.insert(id, Waiter { priority, deadline });
        self.by_priority.insert((priority, id));
        self.by_deadline.insert((deadline, id));
    }

    pub(super) fn cancel(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiting.remove(&id) {
            self.by_priority.remove(&(waiter.priority, id));
            self.by_deadline.remove(&(waiter.deadline, id));
        }
    }

    /// Gives out the free slots and rejects waiters whose deadline has passed. Returns the time of
    /// the next step, later than `now`.
    pub(super) fn step(&mut self, now: BootTime, effects: &mut Vec<Effect>) -> Option<BootTime> {
        while let Some(&(deadline, id)) = self.by_deadline.first()
            && deadline < now
        {
            self.cancel(id);
            effects.push(Effect::Late(id));
        }
        while let Some(id) = self.next() {
            match self.pacer.try_send(now) {
                Ok(send) => {
                    self.cancel(id);
                    self.served += 1;
                    effects.push(Effect::Slot {
                        waiter: id,
                        send,
                        at: now,
                    });
                }
                Err(free_at) => return Some(free_at.min(self.first_deadline(free_at))),
            }
        }
        None
    }

    /// Just after the first deadline: a slot exactly at the deadline is in time.
    fn first_deadline(&self, else_at: BootTime) -> BootTime {
        const JUST_AFTER: BootTime = BootTime::from_nanos(1);
        self.by_deadline
            .first()
            .map_or(else_at, |(deadline, _)| *deadline + JUST_AFTER)
    }

    fn next(&self) -> Option<WaiterId> {
        if self.served % FOR_THE_OLDEST == FOR_THE_OLDEST - 1 {
            self.waiting.first_key_value().map(|(id, _)| *id)
        } else {
            self.by_priority.first().map(|(_, id)| *id)
        }
    }

    pub(super) fn stats(&self, now: BootTime) -> LimiterStats {
        LimiterStats {
            rate: self.pacer.rate(now),
            waiting: self.waiting.len(),
        }
    }
}
