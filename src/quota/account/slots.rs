//! Requests for slots, and the use of each slot. PURE.

use super::super::pacer::SendId;
use super::super::{Action, Priority};
use super::{Account, ProbeHolder, WaiterId};
use crate::clock::BootTime;

impl Account {
    /// A caller requests a slot, by `deadline` at the latest.
    pub fn wait_for_slot(
        &mut self,
        action: Action,
        priority: Priority,
        deadline: BootTime,
    ) -> WaiterId {
        let id = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        self.limiter(action).wait(id, priority, deadline);
        id
    }

    /// The waiter no longer wants a slot.
    pub fn cancel_wait(&mut self, action: Action, waiter: WaiterId) {
        self.limiter(action).cancel(waiter);
    }

    /// The client handed the request to its connection.
    pub fn handed(&mut self, action: Action, send: SendId, at: BootTime) {
        self.limiter(action).pacer.handed(send, at);
    }

    /// The client read the reply, which is not a throttle.
    pub fn replied(&mut self, action: Action, send: SendId, at: BootTime) {
        self.limiter(action).pacer.replied(send, at);
    }

    /// The client read the reply, which is a throttle.
    pub fn replied_throttled(&mut self, action: Action, send: SendId, at: BootTime) {
        self.limiter(action).pacer.replied_throttled(send, at);
    }

    /// The client will read no reply.
    pub fn given_up(&mut self, action: Action, send: SendId, at: BootTime) {
        self.limiter(action).pacer.given_up(send, at);
    }

    /// The caller did not use the slot: no byte left.
    pub fn unsent(&mut self, action: Action, send: SendId, now: BootTime) {
        self.limiter(action).pacer.unsent(send);
        match action {
            Action::ChatappMigrationVerified => {
                self.brake.unsent(send, now);
                self.probe_gone(ProbeHolder::Send(send), now);
            }
            Action::GetPhoneNumberVerificationStatus => {}
        }
    }
}
