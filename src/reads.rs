//! When the verification status of a number is read, and what a read's result means. PURE.

use std::time::Duration;

use jiff::Timestamp;

use crate::crd::PhoneMigrationStatus;
use crate::decide::{Elsewhere, is_open};
use crate::fact::{Fact, Told, VerifiedBy};
use crate::reason::{Outcome, Reason};
use crate::status::codes_spent;

/// Longest back-off of a resource or an account.
pub const MAX_BACK_OFF: Duration = Duration::from_secs(300);
/// First reads after an outcome was lost.
const FIRST_READS: [u64; 3] = [5, 15, 60];
/// Reads that make up for the one before a refusal, until one is answered.
const MOST_MAKE_UP: u32 = 5;
const FIVE_MINUTES: u64 = 300;
/// How long after the end of a signature the read is made that decides.
const DECISIVE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why the status is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// An open attempt without a task of ours is observed.
    Open,
    /// A final unknown may still have succeeded.
    Late,
    /// The read before a refusal was recorded could not be had.
    MakeUp,
    /// The number is verified, its Id is missing.
    MissingId,
    /// A code that a resource which is gone has spent.
    TakeOver,
}

/// The reads made for one resource, in this process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// When the reason for reading was discovered by this process.
    pub since: Timestamp,
    /// How many were made since.
    pub done: u32,
    /// When the last one was made.
    pub last: Option<Timestamp>,
    /// A refusal was recorded without its read.
    pub make_up: bool,
}

impl Reads {
    /// No reads yet.
    pub fn none(now: Timestamp) -> Self {
        Self {
            since: now,
            done: 0,
            last: None,
            make_up: false,
        }
    }

    /// One more was made; one without an answer makes up for nothing.
    pub fn made(self, answered: bool, now: Timestamp) -> Self {
        let done = self.done.saturating_add(1);
        Self {
            done,
            last: Some(now),
            make_up: self.make_up && !answered && done < MOST_MAKE_UP,
            ..self
        }
    }

    /// Nothing was made or discovered later than now.
    pub fn not_after(self, now: Timestamp) -> Self {
        Self {
            since: self.since.min(now),
            last: self.last.map(|last| last.min(now)),
            ..self
        }
    }

    /// The next read of an open attempt: 5 s, 15 s, 60 s after its discovery, then every 5 min;
    /// one right after its signature has surely expired, then one a minute until one succeeds.
    pub fn next_observation(&self, final_at: Timestamp) -> Timestamp {
        let decisive = after(final_at, DECISIVE);
        match self.last {
            Some(last) if last >= decisive => after(last, MINUTE),
            _ => self.early(self.done).min(decisive.max(self.since)),
        }
    }

    fn early(&self, done: u32) -> Timestamp {
        let offset = FIRST_READS.get(done as usize).copied().unwrap_or_else(|| {
            let more = u64::from(done) - FIRST_READS.len() as u64 + 1;
            FIRST_READS[2] + FIVE_MINUTES * more
        });
        after(self.since, Duration::from_secs(offset))
    }

    /// The next read for any other purpose, `None` if there is no more; `event` is when the
    /// state began.
    pub fn next(&self, purpose: Purpose, event: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let hourly = || {
            self.last
                .map_or(after(self.since.max(event), HOUR), |last| after(last, HOUR))
        };
        let at = match purpose {
            Purpose::Open | Purpose::TakeOver => now,
            Purpose::MakeUp => {
                return self
                    .make_up
                    .then(|| after(self.last.unwrap_or(self.since), MINUTE));
            }
            Purpose::MissingId if self.done < FIRST_READS.len() as u32 => {
                return Some(self.early(self.done));
            }
            Purpose::MissingId | Purpose::Late => hourly(),
        };
        (at <= after(event, DAY)).then_some(at)
    }
}

/// The moment after which the service surely refuses a signature: its Timestamp, plus the
/// validity, plus a margin for the service's own clocks of a minute or the validity, whichever
/// is less. Compared with the service's own `Date` only.
pub fn final_at(signed_at: Timestamp, validity: Duration) -> Timestamp {
    after(after(signed_at, validity), validity.min(MINUTE))
}

/// The end of time where the sum lies beyond it: status can be forged, and must not stop us.
fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What a read of the verification status gave.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadResult {
    /// VERIFIED.
    Verified {
        id: Option<String>,
        phone_number: Option<String>,
        request_id: Option<String>,
    },
    /// Anything else that is an answer; `date` is the reply's own `Date`.
    NotVerified { date: Option<Timestamp> },
    /// No answer that says either; a word on why.
    Failed(String),
    /// It was not made: there was no slot for it.
    NotMade,
}

/// What a read's result means for a resource; `None` if it is no news.
pub fn after_read(
    status: &PhoneMigrationStatus,
    purpose: Purpose,
    result: &ReadResult,
    elsewhere: Option<&Elsewhere>,
    validity: Duration,
    now: Timestamp,
) -> Option<Fact> {
    if let ReadResult::Verified {
        id,
        phone_number,
        request_id,
    } = result
    {
        let told = status.reason.as_deref() == Some(Reason::Verified.as_str());
        // A read decided on by an older view, or one that brought no Id: how the number came to be
        // verified, and the RequestId of that, stay as they were told.
        if told && (status.id.is_some() || (purpose == Purpose::MissingId && id.is_none())) {
            return None;
        }
        // The read only adds the Id: that our call succeeded, and its RequestId, stay.
        let by = verified_by(status, purpose);
        return Some(Fact::Verified {
            by,
            id: id.clone(),
            phone_number: phone_number.clone(),
            request_id: request_id.clone().filter(|_| by != VerifiedBy::Call),
        });
    }
    match purpose {
        Purpose::Open => after_observation(status, result, validity, now),
        Purpose::TakeOver => match elsewhere {
            // What is unknown may have succeeded, and may still be executed: only a read that was
            // answered after the end, by the service's own clock, ends it.
            Some(Elsewhere::Ended { code, final_at })
                if code.outcome == Outcome::UnknownFinal && !is_after(result, *final_at) =>
            {
                None
            }
            Some(Elsewhere::Ended { code, .. }) => Some(Fact::TookOver(code.clone())),
            Some(Elsewhere::Open) | None => None,
        },
        Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
    }
}

/// Not verified, by a reply whose own `Date` is after this time.
fn is_after(result: &ReadResult, at: Timestamp) -> bool {
    matches!(result, ReadResult::NotVerified { date: Some(date) } if *date > at)
}

/// A read of a number whose call was accepted only brings the Id: it does not change how the number
/// came to be verified.
fn verified_by(status: &PhoneMigrationStatus, purpose: Purpose) -> VerifiedBy {
    let outcome = status.attempt.as_ref().and_then(|attempt| attempt.outcome);
    match (purpose, outcome) {
        (_, Some(Outcome::Accepted)) => VerifiedBy::Call,
        (Purpose::MissingId, _) if codes_spent(status) == 0 => VerifiedBy::ReadBefore,
        (
            Purpose::MissingId
            | Purpose::Open
            | Purpose::Late
            | Purpose::MakeUp
            | Purpose::TakeOver,
            _,
        ) => VerifiedBy::ReadAfter,
    }
}

fn after_observation(
    status: &PhoneMigrationStatus,
    result: &ReadResult,
    validity: Duration,
    now: Timestamp,
) -> Option<Fact> {
    let attempt = status.attempt.as_ref()?;
    // Somebody recorded its outcome while we read.
    if !is_open(status) {
        return None;
    }
    let final_at = final_at(attempt.signed_at.0, validity);
    let provisional = || {
        (attempt.outcome != Some(Outcome::Unknown)).then(|| Fact::Unknown {
            told: Told::default(),
            until: after(final_at, DECISIVE),
        })
    };
    let overdue = |error: &str| {
        Some(Fact::UnknownOverdue {
            read_error: error.to_owned(),
        })
    };
    match result {
        // Only the service's own clock proves that a request still under way is too old.
        result if is_after(result, final_at) => Some(Fact::UnknownFinal),
        ReadResult::NotVerified { date: None } if now > final_at => {
            overdue("the reply carries no Date")
        }
        ReadResult::NotVerified { date: Some(_) } if now > after(final_at, MINUTE) => {
            overdue("the clock of CAMS is behind the operator's")
        }
        ReadResult::Failed(error) if now > final_at => overdue(error),
        ReadResult::NotVerified { .. } | ReadResult::Failed(_) | ReadResult::NotMade => {
            provisional()
        }
        ReadResult::Verified { .. } => None,
    }
}
