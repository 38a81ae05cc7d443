//! The service: nonces, expiry, throttles, execution.

use phone_migration_operator::api::reason::Outcome;

use crate::protocol::{Deed, Protocol};
use crate::records::Id;
use crate::scope::{Fault, Removed};
use crate::state::{Reply, State, Task};

/// Oldest signature, in ticks, that the service accepts.
const ACCEPTED: u8 = 1;

impl Protocol {
    /// Whether the request of this attempt may still be executed.
    pub fn is_alive(&self, s: &State, id: Id) -> bool {
        let place = usize::from(id);
        let age = s.attempts[place].age.saturating_sub(self.scope.behind);
        age <= ACCEPTED && !s.truth[place].noted
    }

    /// A request reaches the gateway. The gateway records the nonce before it throttles.
    pub fn arrive(&self, s: &mut State, i: usize, deed: Deed) -> Option<()> {
        let id = s.wire.remove(i);
        let place = usize::from(id);
        let used = s.truth[place].noted && !self.is_without(Removed::Nonces);
        let expired = s.attempts[place].age.saturating_sub(self.scope.behind) > ACCEPTED;
        if expired {
            // The caller's deadline is far below the validity: no process gets this reply.
            return (deed == Deed::Refuse).then_some(());
        }
        let reply = if used {
            (deed == Deed::Refuse).then_some(Reply::NonceUsed)?
        } else {
            s.truth[place].noted = true;
            match deed {
                Deed::Throttle => {
                    self.fault(s, Fault::Throttle)?;
                    Reply::Throttled
                }
                Deed::Block => {
                    self.fault(s, Fault::Block)?;
                    Reply::Credentials
                }
                Deed::Accept => execute(s, id, true)?,
                Deed::Refuse => execute(s, id, false)?,
            }
        };
        let heard = s.attempts[place].age <= ACCEPTED;
        for replica in &mut s.replicas {
            if let Task::Sent {
                id: of,
                reply: slot,
            } = &mut replica.task
                && (*of, heard) == (id, true)
            {
                *slot = Some(reply);
            }
        }
        Some(())
    }

    /// A component on the way repeats the request.
    pub fn repeat(&self, s: &mut State, i: usize) -> Option<()> {
        self.fault(s, Fault::Repeated)?;
        s.wire.push(s.wire[i]);
        Some(())
    }
}

/// Whether one of the two claims could not know of the other, as the page of limits admits.
pub fn is_excused(s: &State, a: Id, b: Id) -> bool {
    let blind = |a: Id, b: Id| s.truth[usize::from(a)].blind & (1 << b) != 0;
    blind(a, b) || blind(b, a)
}

/// `right`: the code is right. A right code works only once.
fn execute(s: &mut State, id: Id, right: bool) -> Option<Reply> {
    let place = usize::from(id);
    let expected = match s.entry(id) {
        Some(entry) => !entry.out.is_definite() || entry.out.get() == Some(Outcome::Adopted),
        None => s.lost,
    };
    if !expected {
        s.wrong.executed_unclaimed = true;
    }
    let code = s.attempts[place].code;
    let others = (0..s.attempts.len()).filter(|of| s.attempts[*of].code == code);
    for other in others.filter(|of| s.truth[*of].executed) {
        match is_excused(s, id, u8::try_from(other).unwrap()) {
            true => s.limit = true,
            false => s.wrong.executed_twice = true,
        }
    }
    let code = &mut s.codes[usize::from(code)];
    if right && (code.executed || s.verified) {
        return None;
    }
    s.truth[place].executed = true;
    code.executed = true;
    code.accepted |= right;
    if right {
        s.verified = true;
        return Some(Reply::Accepted);
    }
    Some(match s.verified {
        true => Reply::AlreadyVerified,
        false => Reply::Refused,
    })
}
