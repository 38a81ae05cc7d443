//! Slots: who asks for one, and what became of it. PURE.

use super::super::pacer::SendId;
use super::super::{Action, Priority};
use super::{Account, ProbeHolder, WaiterId};
use crate::clock::BootTime;

impl Account {
    /// Somebody asks for a slot, to be given by `deadline`.
    pub fn wait_for_slot(
        &mut self,
        action: Action,
        priority: Priority,
        deadline: BootTime,
    ) -> WaiterId {
        let id = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        self.lane(action).wait(id, priority, deadline);
        id
    }

    /// The waiter went away.
    pub fn cancel_wait(&mut self, action: Action, waiter: WaiterId) {
        self.lane(action).cancel(waiter);
    }

    /// The request was handed to its connection.
    pub fn handed(&mut self, action: Action, send: SendId, at: BootTime) {
        self.lane(action).pacer.handed(send, at);
    }

    /// The reply was read.
    pub fn replied(&mut self, action: Action, send: SendId, at: BootTime) {
        self.lane(action).pacer.replied(send, at);
    }

    /// No reply will be read.
    pub fn given_up(&mut self, action: Action, send: SendId, at: BootTime) {
        self.lane(action).pacer.given_up(send, at);
    }

    /// The slot was not used: no byte left.
    pub fn unsent(&mut self, action: Action, send: SendId, now: BootTime) {
        self.lane(action).pacer.unsent(send);
        match action {
            Action::Verify => self.probe_gone(ProbeHolder::Send(send), now),
            Action::ReadStatus => {}
        }
    }
}
