//! The cloud's side: nonces, expiry, throttles, execution.

use phone_migration_operator::reason::{Outcome, Spent};

use crate::protocol::{Deed, Protocol};
use crate::scope::{Fault, NonceOrder};
use crate::state::{Reply, Request, State, Task};

/// Oldest signature, in ticks, that the service accepts.
const ACCEPTED: i64 = 1;

impl Protocol {
    /// A request reaches the gateway.
    pub fn arrive(&self, s: &mut State, i: usize, deed: Deed) -> Option<()> {
        let request = s.wire.remove(i);
        let cloud = &self.scope.cloud;
        let tick = s.tick;
        s.service
            .nonces
            .retain(|(_, at)| tick - at <= cloud.retention);
        let used = s.service.nonces.iter().any(|(id, _)| *id == request.id);
        let reply = if used && cloud.order == NonceOrder::First {
            (deed == Deed::Refuse).then_some(Reply::NonceUsed)?
        } else if tick - cloud.behind - request.signed > ACCEPTED {
            (deed == Deed::Refuse).then_some(Reply::Expired)?
        } else {
            self.serve(s, &request, deed, used)?
        };
        self.reply(s, &request, reply);
        Some(())
    }

    fn serve(&self, s: &mut State, request: &Request, deed: Deed, used: bool) -> Option<Reply> {
        let first = self.scope.cloud.order == NonceOrder::First;
        let turned_away = match deed {
            Deed::Throttle => Some((Fault::Throttle, Reply::Throttled)),
            Deed::Credentials => Some((Fault::Block, Reply::Credentials)),
            Deed::Account => Some((Fault::Block, Reply::Account)),
            Deed::Accept | Deed::Refuse | Deed::Fail | Deed::AcceptAndFail => None,
        };
        if let Some((fault, reply)) = turned_away {
            self.fault(s, fault)?;
            if first {
                note(s, &request.id);
            }
            return Some(reply);
        }
        if used {
            return (deed == Deed::Refuse).then_some(Reply::NonceUsed);
        }
        note(s, &request.id);
        match deed {
            Deed::Accept => execute(s, request, true),
            Deed::Refuse => execute(s, request, false),
            Deed::Fail => {
                self.fault(s, Fault::ServerFailure)?;
                Some(Reply::ServerFailure)
            }
            Deed::AcceptAndFail => {
                self.fault(s, Fault::ServerFailure)?;
                execute(s, request, true)?;
                Some(Reply::ServerFailure)
            }
            Deed::Throttle | Deed::Credentials | Deed::Account => None,
        }
    }

    /// The reply reaches the process that still waits for it, unless that of a copy overtakes
    /// it. What repeats a request does so within the caller's deadline, which is far below the
    /// validity.
    fn reply(&self, s: &mut State, request: &Request, reply: Reply) {
        if request.repeated && s.tick - request.signed > ACCEPTED {
            return;
        }
        for replica in &mut s.replicas {
            if let Task::Sent {
                mine, reply: slot, ..
            } = &mut replica.task
                && mine.owned.attempt_id == request.id
            {
                *slot = Some(reply);
            }
        }
    }

    /// Something on the way repeats the request.
    pub fn repeat(&self, s: &mut State, i: usize) -> Option<()> {
        self.fault(s, Fault::Repeated)?;
        s.wire[i].repeated = true;
        s.wire.push(s.wire[i].clone());
        Some(())
    }
}

fn note(s: &mut State, id: &str) {
    if !s.service.nonces.iter().any(|(known, _)| known == id) {
        s.service.nonces.push((id.to_owned(), s.tick));
    }
}

/// `right`: the code is right, if that is still open.
fn execute(s: &mut State, request: &Request, right: bool) -> Option<Reply> {
    s.seen.late_execution |= !is_expected(s, &request.id);
    let verified = s.service.verified.is_some();
    let code = &mut s.service.codes[request.code];
    // A code is right or wrong once and for all; a right one is of no use a second time.
    let may_be_right = code.times == 0 && !verified;
    if right && !may_be_right {
        return None;
    }
    code.times = code.times.saturating_add(1).min(2);
    if right {
        code.accepted = true;
        s.service.verified = Some(s.tick);
        return Some(Reply::Accepted);
    }
    Some(if verified {
        Reply::AlreadyVerified
    } else {
        Reply::Refused
    })
}

/// Whether the store allows for this attempt to be executed: it is open there, or known to have
/// been answered already.
fn is_expected(s: &State, id: &str) -> bool {
    // A status that a user took away says nothing.
    let Some(status) = &s.store.status else {
        return true;
    };
    let outcome_of_attempt = status.attempt.as_ref().filter(|a| a.id == id);
    let in_history = status.history.iter().find(|e| e.attempt_id == id);
    let outcome = match (outcome_of_attempt, in_history) {
        (Some(attempt), _) => attempt.outcome,
        (None, Some(entry)) => Some(entry.outcome),
        (None, None) => return s.store.metadata.uid.as_deref() != Some("uid-0"),
    };
    match outcome {
        None => true,
        Some(Outcome::UnknownFinal) => false,
        Some(outcome) => match outcome.spent() {
            Spent::Open | Spent::Verified | Spent::Spent => true,
            Spent::Released => false,
        },
    }
}
