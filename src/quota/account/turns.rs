//! The outstanding turns. PURE.

use std::collections::HashMap;
use std::time::Duration;

use super::super::pacer::DEADLINE;
use super::super::queue::Waiting;
use super::super::{QueueEntry, TurnKind};
use super::TurnId;
use crate::clock::BootTime;

/// A resource must take a granted turn within this time, and then use it within this time.
pub const TURN_LIFETIME: Duration = Duration::from_secs(10);

/// One outstanding turn: granted or taken, but not used.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) id: TurnId,
    pub(super) kind: TurnKind,
    pub(super) waiting: Waiting,
    pub(super) granted_at: BootTime,
    pub(super) taken: bool,
    /// Time spent waiting for slots, which does not count as preparation.
    waits: Duration,
    expires_at: BootTime,
}

impl Grant {
    /// How long the preparation took, if it ended at `ready_at`.
    pub(super) fn preparation(&self, ready_at: BootTime) -> Duration {
        ready_at.saturating_sub(self.granted_at + self.waits)
    }
}

/// All outstanding turns, at most one per uid.
///
/// Their number is at most three seconds' worth of the rate, so a scan is cheap.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_uid: HashMap<String, Grant>,
    next_id: u64,
}

impl Turns {
    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(super) fn untaken(&self) -> usize {
        self.by_uid.values().filter(|grant| !grant.taken).count()
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Grant> {
        self.by_uid.get(uid)
    }

    pub(super) fn grant(&mut self, waiting: Waiting, kind: TurnKind, now: BootTime) -> TurnId {
        let id = TurnId(self.next_id);
        self.next_id += 1;
        let grant = Grant {
            id,
            kind,
            granted_at: now,
            taken: false,
            waits: Duration::ZERO,
            expires_at: now + TURN_LIFETIME,
            waiting,
        };
        self.by_uid
            .insert(grant.waiting.queue_entry.uid.clone(), grant);
        id
    }

    /// Marks the turn as taken; its lifetime starts again.
    pub(super) fn take(&mut self, uid: &str, now: BootTime) -> Option<&Grant> {
        let grant = self.by_uid.get_mut(uid).filter(|grant| !grant.taken)?;
        grant.taken = true;
        grant.expires_at = now + TURN_LIFETIME;
        Some(grant)
    }

    /// The turn's status read leaves. The wait for its slot does not count as preparation, and the
    /// turn outlives the call. False if this turn is void.
    pub(super) fn use_for_pre_read(
        &mut self,
        uid: &str,
        id: TurnId,
        waited: Duration,
        now: BootTime,
    ) -> bool {
        match self.by_uid.get_mut(uid).filter(|grant| grant.id == id) {
            Some(grant) => {
                grant.waits += waited;
                grant.expires_at = now + DEADLINE + TURN_LIFETIME;
                true
            }
            None => false,
        }
    }

    /// True while exactly this turn of the uid is outstanding.
    pub(super) fn stands(&self, uid: &str, id: TurnId) -> bool {
        self.by_uid.get(uid).is_some_and(|grant| grant.id == id)
    }

    /// Removes exactly this turn of the uid.
    pub(super) fn remove(&mut self, uid: &str, id: TurnId) -> Option<Grant> {
        self.by_uid.get(uid).filter(|grant| grant.id == id)?;
        self.by_uid.remove(uid)
    }

    pub(super) fn queue_entry(&self, id: TurnId) -> Option<&QueueEntry> {
        let mut grants = self.by_uid.values();
        let grant = grants.find(|grant| grant.id == id)?;
        Some(&grant.waiting.queue_entry)
    }

    pub(super) fn set_kind(&mut self, id: TurnId, kind: TurnKind) {
        if let Some(grant) = self.by_uid.values_mut().find(|grant| grant.id == id) {
            grant.kind = kind;
        }
    }

    /// Removes the turns that `which` selects, the last granted first, so that putting them back
    /// one by one restores their order.
    pub(super) fn withdraw(&mut self, which: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let mut gone: Vec<Grant> = self
            .by_uid
            .extract_if(|_, grant| which(grant))
            .map(|(_, grant)| grant)
            .collect();
        gone.sort_by_key(|grant| std::cmp::Reverse(grant.id));
        gone
    }

    /// Removes the expired turns, the first granted first.
    pub(super) fn expired(&mut self, now: BootTime) -> impl Iterator<Item = Grant> + use<> {
        self.withdraw(|grant| grant.expires_at <= now)
            .into_iter()
            .rev()
    }

    pub(super) fn next_expiry(&self) -> Option<BootTime> {
        self.by_uid.values().map(|grant| grant.expires_at).min()
    }
}
