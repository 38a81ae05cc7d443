//! Guards for callers: a turn, a slot, and the wait for a slot. Each gives itself back when it is
//! dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::account::{Taken, TurnId, WaiterId};
use super::super::pacer::SendId;
use super::super::{Action, NoSlot, Priority, TurnKind};
use super::{Shared, State};
use crate::clock::BootTime;

/// Permission to prepare one attempt. If it is dropped unused, the turn goes back to the account,
/// but the resource does not go back to the queue: call `enqueue` again. Void after 10 s, and when
/// a hold begins.
pub struct Turn {
    shared: Arc<Shared>,
    uid: String,
    taken: Taken,
}

impl Turn {
    pub(super) fn new(shared: Arc<Shared>, uid: &str, taken: Taken) -> Self {
        Self {
            shared,
            uid: uid.to_owned(),
            taken,
        }
    }

    fn id(&self) -> TurnId {
        self.taken.id
    }

    /// Purpose of the turn.
    pub fn kind(&self) -> TurnKind {
        self.taken.kind
    }

    /// How long the queue entry had waited when the account granted the turn.
    pub fn waited(&self) -> Duration {
        self.taken.waited
    }

    /// False once the turn is used or void; anything prepared under a void turn is void too. Check
    /// before the claim, and after the read of a [`TurnKind::ProbeRead`] was reported.
    pub fn is_valid(&self) -> bool {
        let id = self.id();
        self.shared
            .read(|account, _| account.turn_stands(&self.uid, id))
    }

    /// Uses `slot` for the turn's status read. If false, the turn is void: give the slot back with
    /// [`Slot::unsent`]. The wait for the slot does not count as preparation, and the turn now
    /// lives until 10 s after the read's deadline.
    #[must_use = "a void turn must not send"]
    pub fn use_for_pre_read(&mut self, slot: &Slot) -> bool {
        let id = self.id();
        self.shared.change(|account, _| {
            account.use_for_pre_read(&self.uid, id, slot.requested_at, slot.sent_at)
        })
    }

    /// Uses the turn, and `slot` for its submission. If false, the turn is void and the caller must
    /// not send: give the slot back with [`Slot::unsent`].
    #[must_use = "a void turn must not send"]
    pub fn use_for_submission(&mut self, slot: &Slot) -> bool {
        let id = self.id();
        self.shared
            .change(|account, _| account.use_turn(&self.uid, id, slot.requested_at, slot.send))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let id = self.id();
        // A used or void turn is no longer in the account, so nothing happens.
        self.shared
            .change(|account, now| account.drop_turn(&self.uid, id, now));
    }
}

/// Permission for one call to leave now. If it is dropped before [`Slot::replied`] or
/// [`Slot::replied_throttled`], the call counts as replied at its deadline, 10 s after [`Slot::sent_at`].
pub struct Slot {
    shared: Arc<Shared>,
    action: Action,
    send: SendId,
    sent_at: BootTime,
    requested_at: BootTime,
    ended: bool,
}

impl Slot {
    /// The send time by which the pacer counts.
    pub fn sent_at(&self) -> BootTime {
        self.sent_at
    }

    /// The client handed the request to its connection at `at`. Call this at once: until then the
    /// pacer assumes that the call has not left, and holds back the calls after it.
    pub fn handed(&mut self, at: BootTime) {
        let (action, send) = (self.action, self.send);
        self.shared
            .change(|account, _| account.handed(action, send, at));
    }

    /// The client read the reply at `at`; it is not a throttle. Call this before the report.
    pub fn replied(&mut self, at: BootTime) {
        if !std::mem::replace(&mut self.ended, true) {
            let (action, send) = (self.action, self.send);
            self.shared
                .change(|account, _| account.replied(action, send, at));
        }
    }

    /// The client read the reply at `at`; it is a throttle. Call this before the report.
    pub fn replied_throttled(&mut self, at: BootTime) {
        if !std::mem::replace(&mut self.ended, true) {
            let (action, send) = (self.action, self.send);
            self.shared
                .change(|account, _| account.replied_throttled(action, send, at));
        }
    }

    /// Gives the slot back: no byte of a request reached the connection. DANGER: if the call did
    /// leave, the pacer no longer counts it, and the operator exceeds the quota.
    pub fn return_unused(mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let (action, send) = (self.action, self.send);
            self.shared
                .change(|account, now| account.unsent(action, send, now));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.ended {
            let (action, send) = (self.action, self.send);
            self.shared
                .change(|account, now| account.given_up(action, send, now));
        }
    }
}

/// A wait for a slot; when it is dropped, the waiter leaves the queue.
pub(super) struct SlotWait<'a> {
    shared: &'a Arc<Shared>,
    action: Action,
    id: WaiterId,
    answer: oneshot::Receiver<Result<Slot, NoSlot>>,
}

/// The dispatcher's data about a waiter.
pub(super) struct Waiter {
    action: Action,
    requested_at: BootTime,
    answer: oneshot::Sender<Result<Slot, NoSlot>>,
}

pub(super) type Answer = (oneshot::Sender<Result<Slot, NoSlot>>, Result<Slot, NoSlot>);

impl Waiter {
    pub(super) fn late(self) -> Answer {
        (self.answer, Err(NoSlot::Late))
    }

    pub(super) fn granted(self, shared: &Arc<Shared>, send: SendId, at: BootTime) -> Answer {
        let slot = Slot {
            shared: Arc::clone(shared),
            action: self.action,
            send,
            sent_at: at,
            requested_at: self.requested_at,
            ended: false,
        };
        (self.answer, Ok(slot))
    }
}

impl<'a> SlotWait<'a> {
    pub(super) fn start(
        shared: &'a Arc<Shared>,
        action: Action,
        priority: Priority,
        within: Duration,
    ) -> Result<Self, NoSlot> {
        let (sender, answer) = oneshot::channel();
        let mut state = shared.lock();
        if state.stopped {
            return Err(NoSlot::Stopped);
        }
        let now = (shared.clock)();
        let deadline = now.saturating_add(within);
        let id = state.account.wait_for_slot(action, priority, deadline);
        let waiter = Waiter {
            action,
            requested_at: now,
            answer: sender,
        };
        state.waiters.insert(id, waiter);
        drop(state);
        shared.changed.notify_one();
        Ok(Self {
            shared,
            action,
            id,
            answer,
        })
    }

    pub(super) async fn slot(&mut self) -> Result<Slot, NoSlot> {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_closed) => Err(NoSlot::Stopped),
        }
    }
}

impl Drop for SlotWait<'_> {
    fn drop(&mut self) {
        self.answer.close();
        // A slot that arrived at the same moment is unused.
        if let Ok(Ok(slot)) = self.answer.try_recv() {
            slot.return_unused();
        }
        let State {
            account, waiters, ..
        } = &mut *self.shared.lock();
        if waiters.remove(&self.id).is_some() {
            account.cancel_wait(self.action, self.id);
        }
    }
}
