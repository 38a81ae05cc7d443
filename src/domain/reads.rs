//! When the operator reads the verification status of a number. PURE.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::shown_number::ShownNumber;

/// First reads after an outcome was lost, in seconds.
const FIRST_READS: [u64; 3] = [5, 15, 60];
/// Most reads that replace the failed read after a refusal.
const MOST_MAKE_UP: u32 = 5;
const FIVE_MINUTES: u64 = 300;
/// Wait from the end of a signature to the read that decides.
const DECISIVE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why the operator reads the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A final unknown may still have succeeded.
    Late,
    /// A refusal was recorded without the read that follows it: the read is still owed.
    MakeUp,
    /// The number is verified, but its Id is missing.
    MissingId,
    /// The code in the Secret verified the number for another resource.
    OtherVerified,
    /// A user asked for a reconcile.
    Asked,
}

/// The reads that this process made about one entry, or one state of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// When this process discovered the reason for reading.
    pub since: Timestamp,
    /// Number of reads since then.
    pub done: u32,
    /// Time of the last read.
    pub last: Option<Timestamp>,
    /// The read after a refusal is still owed.
    pub make_up: bool,
    /// Status said verified without an Id, and a read said that the number is not verified.
    pub denied: bool,
}

impl Reads {
    /// No reads yet.
    pub fn none(now: Timestamp) -> Self {
        Self {
            since: now,
            done: 0,
            last: None,
            make_up: false,
            denied: false,
        }
    }

    /// Records a read. An unanswered one leaves the owed read due, until `MOST_MAKE_UP` reads are
    /// done.
    pub fn made(self, answered: bool, now: Timestamp) -> Self {
        let done = self.done.saturating_add(1);
        Self {
            done,
            last: Some(now),
            make_up: self.make_up && !answered && done < MOST_MAKE_UP,
            ..self
        }
    }

    /// The same reads, with no time later than `now`.
    pub fn not_after(self, now: Timestamp) -> Self {
        Self {
            since: self.since.min(now),
            last: self.last.map(|last| last.min(now)),
            ..self
        }
    }

    /// When to read an open attempt next: 5 s, 15 s, 60 s after its discovery, then every 5 min;
    /// right after its signature has surely expired, then once a minute until a read succeeds.
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

    /// When to read next for any other purpose; `None`: no more. `event`: when the state began.
    pub fn next(&self, purpose: Purpose, event: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let hourly = || {
            self.last
                .map_or(after(self.since.max(event), HOUR), |last| after(last, HOUR))
        };
        let at = match purpose {
            Purpose::OtherVerified | Purpose::Asked => now,
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

/// The time after which CAMS surely refuses a signature: its Timestamp, plus the validity, plus a
/// margin for differences between CAMS's own clocks (a minute or the validity, whichever is less).
/// Compare it only with CAMS's own `Date`.
pub fn final_at(signed_at: Timestamp, validity: Duration) -> Timestamp {
    after(after(signed_at, validity), validity.min(MINUTE))
}

/// When the read that decides an open entry is due.
pub fn decisive_read(final_at: Timestamp) -> Timestamp {
    after(final_at, DECISIVE)
}

/// `at + wait`, or the largest time if that overflows: a forged status must not stop the operator.
fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Result of a status read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadResult {
    /// VERIFIED.
    Verified {
        id: Option<String>,
        phone_number: Option<ShownNumber>,
        request_id: Option<String>,
    },
    /// Any other answer; `date` is the reply's own `Date`.
    NotVerified { date: Option<Timestamp> },
    /// No answer that says either, and why.
    Failed(String),
    /// The read got no slot and was not made.
    NotMade,
}
