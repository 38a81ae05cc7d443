//! What a process does, step by step, between its requests. Every decision is made by the
//! production code; what `Removed` takes away is bent around it.

use std::sync::Arc;

use phone_migration_operator::attempt::rules;
use phone_migration_operator::code::Code;
use phone_migration_operator::crd::PhoneMigration;
use phone_migration_operator::decide::{
    Decision, Next, Observed, Owner, TurnState, decide, is_open,
};
use phone_migration_operator::fact::{Fact, VerifiedBy};
use phone_migration_operator::look::{changed, circumstances, key_of, uid_of};
use phone_migration_operator::reads::ReadResult;
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::record::Owned;

use crate::drift;
use crate::observation::purpose_of;
use crate::protocol::{Get, Protocol, View};
use crate::scope::{Fault, Removed};
use crate::state::{Memory, Mine, Reply, Request, State, Task};
use crate::world::{NUMBER, VALIDITY, clocks, code_at, usable, wall};

impl Protocol {
    pub fn is_without(&self, removed: Removed) -> bool {
        self.scope.without == Some(removed)
    }

    pub fn code(&self, rotation: u8) -> &Code {
        usable(&self.readings[usize::from(rotation)])
    }

    /// How long the operator believes that a signature may be good.
    pub fn validity(&self) -> std::time::Duration {
        if self.is_without(Removed::FinalAfterExpiry) {
            std::time::Duration::ZERO
        } else {
            VALIDITY
        }
    }

    /// A GET of the resource.
    fn get(&self, s: &mut State, get: Get) -> Option<Arc<PhoneMigration>> {
        match get {
            Get::Current => {}
            Get::Stale => {
                self.fault(s, Fault::StaleRead)?;
                return Some(Arc::clone(&s.before));
            }
        }
        Some(Arc::clone(&s.store))
    }

    /// The object as a look takes it in.
    pub fn live(&self, s: &mut State, get: Get) -> Option<Arc<PhoneMigration>> {
        let live = self.get(s, get)?;
        let bends = match self.scope.without {
            Some(Removed::WholeHistory)
            | Some(Removed::NoResubmissionOfOpen)
            | Some(Removed::NoResubmissionOfFinal) => true,
            Some(_) | None => false,
        };
        if !bends {
            return Some(live);
        }
        let mut object = (*live).clone();
        let Some(status) = &mut object.status else {
            return Some(live);
        };
        let final_unknown = |outcome| outcome == Some(Outcome::UnknownFinal);
        if self.is_without(Removed::WholeHistory) {
            status.history.truncate(1);
        }
        if self.is_without(Removed::NoResubmissionOfOpen) && is_open(status) {
            status.attempt = None;
        }
        if self.is_without(Removed::NoResubmissionOfFinal) {
            status.history.retain(|e| !final_unknown(Some(e.outcome)));
            if status
                .attempt
                .as_ref()
                .is_some_and(|a| final_unknown(a.outcome))
            {
                status.attempt = None;
            }
        }
        Some(Arc::new(object))
    }

    /// As `look::look`: decides without the code first.
    pub fn decide(&self, s: &mut State, r: usize, object: &PhoneMigration) -> Decision {
        let now = wall(s.tick);
        let status = object.status.clone().unwrap_or_default();
        let reads = s.replicas[r].reads.about(object.status.as_ref(), now);
        let reading = &self.readings[usize::from(s.rotation)];
        let fingerprint = &usable(reading).fingerprint;
        let spent = self.spent(&s.replicas[r].memory);
        let elsewhere = spent.elsewhere(fingerprint, NUMBER, &status, now);
        if let Some(elsewhere) = &elsewhere {
            self.meet(drift::elsewhere(elsewhere), elsewhere);
        }
        let on = |code| {
            let observed = Observed {
                object,
                code,
                owner: Owner::Us,
                elsewhere: code.and(elsewhere.clone()),
                turn: TurnState::Granted,
                hold: None,
                reads: &reads,
                validity: self.validity(),
            };
            decide(&observed, now)
        };
        let mut decision = on(None);
        if decision.next == Next::ReadCode {
            decision = on(Some(reading));
        }
        self.meet(drift::next(&decision.next), &decision.next);
        decision
    }

    /// A live look, up to the next request.
    pub fn visit(&self, s: &mut State, r: usize, get: Get) -> Option<()> {
        let held = self.live(s, get)?;
        if self.surfaced(s, r, &held) {
            let attempt = held.status.as_ref()?.attempt.as_ref()?;
            let owned = owned(&held, &attempt.id)?;
            s.replicas[r].task = Task::Record {
                held,
                owned,
                fact: rules::never_sent(),
                make_up: false,
            };
            return Some(());
        }
        let decision = self.decide(s, r, &held);
        if let Some(fact) = news(&held, decision.fact, s.tick) {
            let then = purpose_of(decision.next);
            s.replicas[r].task = Task::Say { held, fact, then };
            return Some(());
        }
        match decision.next {
            Next::Claim(number) if rules::looks_first(&held) => {
                let rotation = s.rotation;
                s.replicas[r].task = Task::Look {
                    held,
                    number,
                    rotation,
                };
            }
            Next::Claim(number) => self.sign(s, r, held, number, s.rotation)?,
            // A step of its own, since the read takes place now.
            Next::ReadStatus(_) => return None,
            Next::Rest
            | Next::At(_)
            | Next::Poll
            | Next::ReadCode
            | Next::Enqueue(_)
            | Next::Stay(_) => {}
        }
        Some(())
    }

    /// The status read before a first attempt.
    pub fn look_first(&self, s: &mut State, r: usize, view: View) -> Option<()> {
        let Task::Look {
            held,
            number,
            rotation,
        } = s.replicas[r].task.clone()
        else {
            return None;
        };
        match self.read(s, view)? {
            ReadResult::Verified {
                id,
                phone_number,
                request_id,
            } => {
                let fact = Fact::Verified {
                    by: VerifiedBy::ReadBefore,
                    id,
                    phone_number,
                    request_id,
                };
                let then = None;
                s.replicas[r].task = Task::Say { held, fact, then };
            }
            ReadResult::NotVerified { .. } | ReadResult::Failed(_) | ReadResult::NotMade => {
                self.sign(s, r, held, number, rotation)?;
            }
        }
        Some(())
    }

    fn sign(
        &self,
        s: &mut State,
        r: usize,
        held: Arc<PhoneMigration>,
        number: i32,
        rotation: u8,
    ) -> Option<()> {
        s.serial += 1;
        let id = format!("{:031x}{}", s.serial, code_at(rotation));
        let mine = Mine {
            owned: owned(&held, &id)?,
            rotation,
            signed: s.tick,
        };
        let fact = rules::claim(number, &id, clocks(s.tick), self.code(rotation));
        s.replicas[r].task = Task::Claim { held, fact, mine };
        Some(())
    }

    /// After a lost reply, or a conflict, of the claim's write.
    pub fn recognise(&self, s: &mut State, r: usize, get: Get) -> Option<()> {
        let Task::Doubt { mine } = s.replicas[r].task.clone() else {
            return None;
        };
        let live = self.get(s, get)?;
        let ours = rules::recognises(&live, &mine.owned, clocks(mine.signed), clocks(s.tick));
        let replica = &mut s.replicas[r];
        if ours {
            replica.task = Task::Gate { held: live, mine };
        } else {
            replica.never_sent.push(mine.owned.attempt_id);
            replica.task = Task::Idle;
        }
        Some(())
    }

    /// The gate at the socket, and the send.
    pub fn send(&self, s: &mut State, r: usize, may_act: bool) -> Option<()> {
        let Task::Gate { held, mut mine } = s.replicas[r].task.clone() else {
            return None;
        };
        if self.is_without(Removed::FrozenSignature) {
            mine.signed = s.tick;
        }
        let code = self.code(mine.rotation);
        let asked_at = if self.is_without(Removed::Gate) {
            mine.signed
        } else {
            s.tick
        };
        let spent = self.spent(&s.replicas[r].memory);
        let at = self.at_gate(&mine, code);
        if rules::open_gate(&at, may_act, &spent, clocks(asked_at)).is_err() {
            return self.answered(s, r, held, &mine, Reply::Gate, View::Now);
        }
        s.wire.push(Request {
            id: mine.owned.attempt_id.clone(),
            code: code_at(mine.rotation),
            signed: mine.signed,
            repeated: false,
        });
        s.seen.unclaimed_send |= !self.is_open_in_store(s, &mine.owned.attempt_id);
        let began = Memory::Began {
            mine: mine.clone(),
            at: asked_at,
        };
        self.remember(s, r, began);
        s.replicas[r].task = Task::Sent {
            held,
            mine,
            reply: None,
        };
        Some(())
    }
}

/// What the decision has to say that status does not say yet.
pub fn news(object: &PhoneMigration, fact: Option<Fact>, tick: i64) -> Option<Fact> {
    fact.filter(|fact| changed(object, fact, &circumstances(object, wall(tick))).is_some())
}

fn owned(object: &PhoneMigration, id: &str) -> Option<Owned> {
    Some(Owned {
        key: key_of(object)?,
        uid: uid_of(object).to_owned(),
        attempt_id: id.to_owned(),
    })
}
