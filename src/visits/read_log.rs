//! The reads made about one state of a resource. PURE.

use jiff::Timestamp;

use crate::crd::PhoneMigrationStatus;
use crate::reads::Reads;

/// The reads made about one state of a resource: another attempt or another outcome starts them
/// anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLog {
    subject: String,
    reads: Reads,
}

impl ReadLog {
    /// No reads yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            subject: String::new(),
            reads: Reads::none(now),
        }
    }

    /// The reads made about the state that `status` shows.
    pub fn about(&mut self, status: Option<&PhoneMigrationStatus>, now: Timestamp) -> Reads {
        let subject = subject(status);
        if self.subject != subject {
            self.subject = subject;
            self.reads = Reads::none(now);
        }
        // A clock that was ahead and is corrected must not put off what follows.
        self.reads = self.reads.not_after(now);
        self.reads
    }

    /// One more read was made; whether it was answered.
    pub fn made(&mut self, status: Option<&PhoneMigrationStatus>, answered: bool, now: Timestamp) {
        self.reads = self.about(status, now).made(answered, now);
    }

    /// The read before a refusal was recorded could not be had: it is made up later.
    pub fn make_up(&mut self, status: Option<&PhoneMigrationStatus>, now: Timestamp) {
        let reads = self.about(status, now);
        self.reads = Reads {
            make_up: true,
            ..reads
        };
    }
}

/// What the reads are about: another attempt or another outcome starts them anew.
fn subject(status: Option<&PhoneMigrationStatus>) -> String {
    let attempt = status.and_then(|status| status.attempt.as_ref());
    attempt.map_or_else(String::new, |a| {
        let open = a
            .outcome
            .is_none_or(|o| o.spent() == crate::reason::Spent::Open);
        format!(
            "{}/{}",
            a.id,
            if open {
                "open".into()
            } else {
                format!("{:?}", a.outcome)
            }
        )
    })
}
