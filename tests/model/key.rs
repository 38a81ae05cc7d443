//! What tells one state from another: ages instead of times, up to the age above which nothing
//! changes; attempt ids in the order of their appearance; no texts. Without this there would be
//! no end of states.

use phone_migration_operator::crd::{PhoneMigration, PhoneMigrationStatus, condition};
use phone_migration_operator::decide::{is_open, requested};
use phone_migration_operator::fact::{Fact, Setback, VerifiedBy};
use phone_migration_operator::reads::ReadResult;
use phone_migration_operator::reason::{Outcome, Reason};

use crate::properties::code_of;
use crate::protocol::Protocol;
use crate::scope::Fault;
use crate::state::{Memory, Mine, Replica, State, Task};
use crate::world::{tick_of, wall};

struct Writer<'a> {
    out: Vec<u8>,
    ids: Vec<&'a str>,
    tick: i64,
    oldest: i64,
}

impl<'a> Writer<'a> {
    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    fn age(&mut self, at: i64) {
        let age = (self.tick - at).clamp(-8, self.oldest);
        self.byte(u8::try_from(age + 8).unwrap());
    }

    fn id(&mut self, id: &'a str) {
        let known = self.ids.iter().position(|known| *known == id);
        let n = known.unwrap_or_else(|| {
            self.ids.push(id);
            self.ids.len() - 1
        });
        self.byte(u8::try_from(n * 2 + code_of(id)).unwrap());
    }

    fn outcome(&mut self, outcome: Option<Outcome>) {
        self.byte(outcome.map_or(0, |outcome| 1 + outcome as u8));
    }

    fn status(&mut self, status: Option<&'a PhoneMigrationStatus>) {
        let Some(status) = status else {
            return self.byte(0);
        };
        let reason = status.reason.as_deref().and_then(Reason::parse);
        self.byte(1 + reason.map_or(0, |reason| 1 + reason as u8));
        for type_ in [condition::STALLED, condition::FINISHED] {
            let mut conditions = status.conditions.iter();
            self.flag(conditions.any(|c| c.type_ == type_ && c.status == "True"));
        }
        self.flag(status.id.is_some());
        self.flag(status.error_code.is_some());
        // Only a resource whose account was refused waits by itself.
        let waits = reason == Some(Reason::AccountError);
        let until = status.next_attempt_at.as_ref().filter(|_| waits);
        self.flag(until.is_some_and(|at| at.0 > wall(self.tick)));
        if let Some(attempt) = &status.attempt {
            self.id(&attempt.id);
            self.outcome(attempt.outcome);
            self.byte(u8::try_from(attempt.number).unwrap());
            if is_open(status) {
                self.age(tick_of(attempt.signed_at.0));
            }
        }
        self.byte(u8::try_from(status.history.len()).unwrap());
        for entry in &status.history {
            self.id(&entry.attempt_id);
            self.outcome(Some(entry.outcome));
        }
    }

    /// A copy of the resource that a process holds.
    fn held(&mut self, held: &'a PhoneMigration, store: &PhoneMigration) {
        let current = held.metadata.resource_version == store.metadata.resource_version;
        self.flag(current);
        if !current {
            self.flag(held.metadata.uid == store.metadata.uid);
            self.status(held.status.as_ref());
        }
    }

    fn mine(&mut self, mine: &'a Mine) {
        self.id(&mine.owned.attempt_id);
        self.byte(mine.rotation);
        self.age(mine.signed);
        self.byte(u8::from(mine.owned.uid != "uid-0"));
    }

    fn fact(&mut self, fact: &'a Fact) {
        let (word, detail) = match fact {
            Fact::Seen => (0, 0),
            Fact::NoCode(_) => (1, 0),
            Fact::Queued(_) => (2, 0),
            Fact::Duplicate { .. } => (3, 0),
            Fact::Suspended => (4, 0),
            Fact::Claimed(claim) => (5, claim.number.unsigned_abs() as u8),
            Fact::Released { setback, .. } => (6, setback_word(*setback)),
            Fact::HeldBack { setback, .. } => (7, setback_word(*setback)),
            Fact::Verified { by, .. } => (
                8,
                match by {
                    VerifiedBy::Call => 0,
                    VerifiedBy::ReadBefore => 1,
                    VerifiedBy::ReadAfter => 2,
                },
            ),
            Fact::Refused { outcome, .. } => (9, *outcome as u8),
            Fact::Unknown { .. } => (10, 0),
            Fact::UnknownFinal => (11, 0),
            Fact::UnknownOverdue { .. } => (12, 0),
            Fact::Concluded { ambiguous } => (13, u8::from(*ambiguous)),
            Fact::Exhausted => (14, 0),
            Fact::LimitRaised => (15, 0),
            Fact::TookOver(entry) => (16, entry.outcome as u8),
            Fact::Refingerprinted(_) => (17, 0),
        };
        self.byte(word);
        self.byte(detail);
    }

    fn task(&mut self, task: &'a Task, store: &'a PhoneMigration) {
        match task {
            Task::Idle => self.byte(0),
            Task::Say { held, fact, then } => {
                self.byte(1);
                self.held(held, store);
                self.fact(fact);
                self.byte(then.map_or(0, |purpose| 1 + purpose as u8));
            }
            Task::Due { purpose } => {
                self.byte(9);
                self.byte(*purpose as u8);
            }
            Task::Look {
                held,
                number,
                rotation,
            } => {
                self.byte(2);
                self.held(held, store);
                self.byte(u8::try_from(*number).unwrap());
                self.byte(*rotation);
            }
            Task::Claim { held, fact, mine } => {
                self.byte(3);
                self.held(held, store);
                self.fact(fact);
                self.mine(mine);
            }
            Task::Doubt { mine } => {
                self.byte(4);
                self.mine(mine);
            }
            Task::Gate { held, mine } => {
                self.byte(5);
                self.held(held, store);
                self.mine(mine);
            }
            Task::Sent { held, mine, reply } => {
                self.byte(6);
                self.held(held, store);
                self.mine(mine);
                self.byte(reply.map_or(0, |reply| 1 + reply as u8));
            }
            Task::Record {
                held,
                owned,
                fact,
                make_up,
            } => {
                self.byte(7);
                self.held(held, store);
                self.id(&owned.attempt_id);
                self.flag(owned.uid != "uid-0");
                self.fact(fact);
                self.flag(*make_up);
            }
            Task::Observed {
                held,
                purpose,
                result,
            } => {
                self.byte(8);
                self.held(held, store);
                self.byte(*purpose as u8);
                match result {
                    ReadResult::Verified { .. } => self.byte(0),
                    ReadResult::NotVerified { date } => {
                        self.byte(1);
                        self.age(date.map_or(self.tick, tick_of));
                    }
                    ReadResult::Failed(_) => self.byte(2),
                    ReadResult::NotMade => self.byte(3),
                }
            }
        }
    }

    fn replica(&mut self, replica: &'a Replica, store: &'a PhoneMigration) {
        self.byte(100);
        self.task(&replica.task, store);
        for id in &replica.never_sent {
            self.byte(101);
            self.id(id);
        }
        for entry in &replica.memory {
            match entry {
                Memory::Began { mine, at } => {
                    self.byte(102);
                    self.mine(mine);
                    self.age(*at);
                }
                Memory::Concluded { mine, fact, .. } => {
                    self.byte(103);
                    self.id(&mine.owned.attempt_id);
                    self.fact(fact);
                }
                Memory::Ended { id, outcome } => {
                    self.byte(104);
                    self.id(id);
                    self.outcome(Some(*outcome));
                }
            }
        }
        self.reads(replica, store);
    }

    /// Reads about another state than the one shown start anew.
    fn reads(&mut self, replica: &Replica, shown: &PhoneMigration) {
        let status = shown.status.as_ref();
        let never = wall(i64::from(i32::MAX));
        let reads = replica.reads.clone().about(status, never);
        let matters = status.is_some_and(is_open) || reads.make_up;
        if matters && reads.since != never {
            self.byte(105);
            self.age(tick_of(reads.since));
            self.byte(u8::try_from(reads.done.min(3)).unwrap());
            self.age(reads.last.map_or(self.tick + 8, tick_of));
            self.flag(reads.make_up);
        }
    }
}

impl Protocol {
    pub fn key(&self, s: &State) -> Vec<u8> {
        let mut w = Writer {
            out: Vec::with_capacity(96),
            ids: Vec::new(),
            tick: s.tick,
            oldest: self.scope.oldest(),
        };
        w.byte(s.faults);
        w.byte(s.wipes);
        w.byte(s.rotation);
        for flag in [
            s.seen.unclaimed_send,
            s.seen.late_execution,
            s.seen.forgotten_claim,
            s.seen.moved_back,
            s.store.metadata.uid.as_deref() == Some("uid-0"),
        ] {
            w.flag(flag);
        }
        w.status(s.store.status.as_ref());
        let status = s.store.status.as_ref();
        w.flag(status.is_some_and(|status| requested(&s.store, status).is_some()));
        if s.faults > 0 && self.scope.kinds.contains(&Fault::StaleRead) {
            w.byte(99);
            w.status(s.before.status.as_ref());
            for replica in &s.replicas {
                w.reads(replica, &s.before);
            }
        }
        for replica in &s.replicas {
            w.replica(replica, &s.store);
        }
        for request in &s.wire {
            w.byte(110);
            w.id(&request.id);
            w.age(request.signed);
            w.flag(request.repeated);
        }
        // Only the nonce of a request on its way can be seen again.
        let waiting = |id: &str| s.wire.iter().any(|request| request.id == id);
        for (id, at) in s.service.nonces.iter().filter(|(id, _)| waiting(id)) {
            if s.tick - at <= self.scope.cloud.retention {
                w.byte(111);
                w.id(id);
                w.age(*at);
            }
        }
        for code in &s.service.codes {
            w.byte(code.times * 2 + u8::from(code.accepted));
        }
        if let Some(at) = s.service.verified {
            w.byte(112);
            w.age(at);
        }
        if let Some(late) = &s.late_write {
            w.byte(113);
            w.held(late, &s.store);
            w.status(late.status.as_ref());
        }
        w.out
    }

    /// Claims that can no longer surface, and writes that can no longer be stored.
    pub fn forget_what_cannot_matter(&self, s: &mut State) {
        let current = s.store.metadata.resource_version.clone();
        let hopeless = |late: &PhoneMigration| late.metadata.resource_version != current;
        if s.late_write.as_deref().is_some_and(hopeless) {
            s.late_write = None;
        }
        let shows = |object: &PhoneMigration, id: &str| {
            let status = object.status.as_ref();
            let attempt = status.and_then(|status| status.attempt.as_ref());
            attempt.is_some_and(|attempt| attempt.id == id)
        };
        let (store, late) = (s.store.clone(), s.late_write.clone());
        for replica in &mut s.replicas {
            replica.never_sent.retain(|id| {
                shows(&store, id) || late.as_ref().is_some_and(|late| shows(late, id))
            });
        }
    }
}

fn setback_word(setback: Setback) -> u8 {
    match setback {
        Setback::Throttled => 0,
        Setback::NotSent => 1,
        Setback::Credentials => 2,
        Setback::Account => 3,
        Setback::Clock => 4,
    }
}
