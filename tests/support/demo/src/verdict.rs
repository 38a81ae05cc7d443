//! Checks the promises against the last statuses and the ledger of the cloud. PURE.
//!
//! The ledger decides what was executed, never the operator's own account of it.

use std::fmt;

use harness::books::{Books, Throttles, executed_twice};
use harness::cams_simulator::{Entry, Summary, VERIFIED};

/// How one number ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `namespace/name`.
    pub name: String,
    /// The number.
    pub phone: String,
    /// The Id that the cloud has for it.
    pub expected_id: String,
    /// It was verified before the play, so success needs no call.
    pub verified_before: bool,
    /// `status.reason`; empty if there is none.
    pub reason: String,
    /// `status.id`; empty if there is none.
    pub id: String,
}

impl Ending {
    fn verified(&self) -> bool {
        self.reason == "Verified" && self.id == self.expected_id
    }
}

/// A promise that was broken. Never shows a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// One code of one number was executed more than once.
    ExecutedTwice { name: String, times: u64 },
    /// Executed and accepted, but not Verified with its Id.
    OutcomeLost { name: String, reason: String },
    /// Verified, although the cloud accepted nothing.
    FalseSuccess { name: String },
    /// The cloud throttled more calls than a busy machine excuses, outside the staged spell.
    QuotaExceeded(Throttles),
    /// Not in the expected state, and no code of it was accepted.
    NotSettled { name: String, reason: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |reason: &str| match reason {
            "" => "without a status".to_owned(),
            reason => reason.to_owned(),
        };
        match self {
            Self::ExecutedTwice { name, times } => {
                write!(f, "{name}: one code was executed {times} times")
            }
            Self::OutcomeLost { name, reason } => write!(
                f,
                "{name}: the cloud accepted its code, but it is {} and not Verified with its Id",
                or_none(reason)
            ),
            Self::FalseSuccess { name } => {
                write!(f, "{name}: Verified, but the cloud accepted nothing")
            }
            Self::QuotaExceeded(throttles) => {
                write!(f, "outside the staged spell {throttles}")
            }
            Self::NotSettled { name, reason } => {
                write!(
                    f,
                    "{name}: did not settle in time, it is {}",
                    or_none(reason)
                )
            }
        }
    }
}

/// Every broken promise.
pub fn violations(endings: &[Ending], ledger: &[Entry]) -> Vec<Violation> {
    let summary = Summary::of(ledger.iter());
    let books = Books::of(ledger);
    let mut found = doubled(endings, &summary);
    found.extend(
        endings
            .iter()
            .filter_map(|ending| outcome(ending, books.accepted(&ending.phone))),
    );
    let throttles = Throttles::of(ledger);
    if throttles.exceeded() {
        found.push(Violation::QuotaExceeded(throttles));
    }
    found
}

fn doubled(endings: &[Ending], summary: &Summary) -> Vec<Violation> {
    let name = |phone: &str| {
        let ending = endings.iter().find(|ending| ending.phone == phone);
        ending.map_or_else(|| "a foreign number".to_owned(), |e| e.name.clone())
    };
    executed_twice(summary)
        .into_iter()
        .map(|(phone, times)| Violation::ExecutedTwice {
            name: name(phone),
            times,
        })
        .collect()
}

fn outcome(ending: &Ending, accepted: bool) -> Option<Violation> {
    let (name, reason) = (ending.name.clone(), ending.reason.clone());
    match (ending.verified(), accepted) {
        (true, true) => None,
        (true, false) if ending.verified_before => None,
        (true, false) => Some(Violation::FalseSuccess { name }),
        (false, true) => Some(Violation::OutcomeLost { name, reason }),
        (false, false) => Some(Violation::NotSettled { name, reason }),
    }
}

/// The ledger in one line.
pub fn ledger_line(ledger: &[Entry], limit: u64) -> String {
    let summary = Summary::of(ledger.iter());
    let submitted = summary.action(VERIFIED).counts;
    format!(
        "Ledger of the cloud: {} calls ({} submissions, {} status reads); {} codes executed, each \
         at most {}; worst second {} of {limit}; {} throttled, {} of them by the quota",
        summary.total.received,
        submitted.received,
        summary.total.received - submitted.received,
        summary.codes.len(),
        times(summary.max_executed_per_code),
        summary.worst_second,
        summary.total.throttled,
        Throttles::of(ledger).throttled,
    )
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
