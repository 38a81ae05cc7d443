//! What an answer, or its absence, makes of an attempt.

use std::sync::Arc;

use phone_migration_operator::attempt::rules;
use phone_migration_operator::crd::PhoneMigration;
use phone_migration_operator::fact::{Fact, Setback};
use phone_migration_operator::reads::ReadResult;
use phone_migration_operator::visits::back_off;

use crate::drift;
use crate::protocol::{Protocol, View};
use crate::scope::{Fault, Reading, Removed};
use crate::state::{Memory, Mine, Reply, State, Task};
use crate::world::{clocks, wall};

impl Protocol {
    /// The reply came.
    pub fn conclude(&self, s: &mut State, r: usize, view: View) -> Option<()> {
        let Task::Sent {
            held,
            mine,
            reply: Some(reply),
        } = s.replicas[r].task.clone()
        else {
            return None;
        };
        self.answered(s, r, held, &mine, reply, view)
    }

    /// The deadline came first. No fault where no reply can come any more.
    pub fn give_up(&self, s: &mut State, r: usize) -> Option<()> {
        let Task::Sent { held, mine, reply } = s.replicas[r].task.clone() else {
            return None;
        };
        let on_its_way = s.wire.iter().any(|q| q.id == mine.owned.attempt_id);
        if on_its_way || reply.is_some() {
            self.fault(s, Fault::LostReply)?;
        }
        self.answered(s, r, held, &mine, Reply::Timeout, View::Now)
    }

    /// As `attempt::conclude`.
    pub fn answered(
        &self,
        s: &mut State,
        r: usize,
        held: Arc<PhoneMigration>,
        mine: &Mine,
        reply: Reply,
        view: View,
    ) -> Option<()> {
        let taken_for = match self.scope.without {
            Some(Removed::NonceUsedIsUnknown(reading)) if reply == Reply::NonceUsed => {
                match reading {
                    Reading::Success => Reply::Accepted,
                    Reading::Refusal => Reply::Refused,
                    Reading::NotExecuted => Reply::Throttled,
                }
            }
            _ => reply,
        };
        let answer = self.answers[&taken_for].clone();
        self.meet(drift::verdict(&answer.verdict), &answer.verdict);
        let (mut fact, told) = rules::conclusion(answer, clocks(mine.signed), self.validity());
        let concluded = Memory::Concluded {
            mine: mine.clone(),
            fact: fact.clone(),
            told: told.clone(),
        };
        self.remember(s, r, concluded);
        let mut make_up = false;
        if matches!(fact, Fact::Refused { .. }) {
            let result = self.read(s, view)?;
            make_up = matches!(result, ReadResult::Failed(_) | ReadResult::NotMade);
            fact = rules::after_refusal(fact, &result, told.request_id);
        } else if view != View::Now {
            return None;
        }
        if let Fact::Released {
            setback: Setback::Account,
            next,
            ..
        } = &mut fact
        {
            *next = Some(wall(s.tick) + back_off(0));
        }
        s.replicas[r].task = Task::Record {
            held,
            owned: mine.owned.clone(),
            fact,
            make_up,
        };
        Some(())
    }
}
