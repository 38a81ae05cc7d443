//! Status reads, and the observation of an attempt whose outcome is not known.

use phone_migration_operator::cams::StatusVerdict;
use phone_migration_operator::decide::Next;
use phone_migration_operator::fact::Told;
use phone_migration_operator::reads::{Purpose, ReadResult};
use phone_migration_operator::{observe, status_read};

use crate::protocol::{Get, Protocol, View};
use crate::replica::news;
use crate::scope::{Fault, Removed};
use crate::state::{State, Task};
use crate::world::wall;

impl Protocol {
    /// As `observe::observe`: a live look, and the read that it asks for.
    pub fn observe(&self, s: &mut State, r: usize, get: Get, view: View) -> Option<()> {
        let asked = match s.replicas[r].task {
            Task::Due { purpose } => Some(purpose),
            _ => None,
        };
        let held = self.live(s, get)?;
        if asked.is_none() && self.surfaced(s, r, &held) {
            return None;
        }
        let decision = self.decide(s, r, &held);
        let purpose = match asked {
            Some(purpose) if observe::is_wanted(purpose, decision.next) => purpose,
            Some(_) => {
                s.replicas[r].task = Task::Idle;
                return Some(());
            }
            None if news(&held, decision.fact, s.tick).is_some() => return None,
            None => purpose_of(decision.next)?,
        };
        if self.is_without(Removed::Observation) {
            return None;
        }
        let result = self.read(s, view)?;
        let now = wall(s.tick);
        let answered = !matches!(result, ReadResult::Failed(_) | ReadResult::NotMade);
        let reads = &mut s.replicas[r].reads;
        reads.made(held.status.as_ref(), answered, now);
        s.replicas[r].task = Task::Observed {
            held,
            purpose,
            result,
        };
        Some(())
    }

    /// A status read.
    pub fn read(&self, s: &mut State, view: View) -> Option<ReadResult> {
        let answer = match view {
            View::Now if s.service.verified.is_some() => &self.verified,
            View::Now => &self.not_verified,
            View::Before => {
                let since = s.service.verified?;
                (s.tick - since < self.scope.cloud.lag).then_some(&self.not_verified)?
            }
            View::Failed => {
                self.fault(s, Fault::FailedRead)?;
                &self.failed_read
            }
        };
        let told = Told {
            code: answer.code.clone(),
            message: answer.message.clone(),
            request_id: answer.request_id.clone(),
        };
        let date = if self.is_without(Removed::ServerClock) {
            wall(s.tick)
        } else {
            wall(s.tick - self.scope.cloud.behind)
        };
        let dated = match &answer.verdict {
            StatusVerdict::Verified { .. } | StatusVerdict::NotVerified { .. } => Some(date),
            StatusVerdict::Throttled { .. }
            | StatusVerdict::Blocked(_)
            | StatusVerdict::Failed(_) => None,
        };
        Some(status_read::result(&answer.verdict, &told, dated))
    }
}

/// What a decision to read is for.
pub fn purpose_of(next: Next) -> Option<Purpose> {
    match next {
        Next::ReadStatus(purpose) => Some(purpose),
        Next::Rest
        | Next::At(_)
        | Next::Poll
        | Next::ReadCode
        | Next::Enqueue(_)
        | Next::Stay(_)
        | Next::Claim(_) => None,
    }
}
