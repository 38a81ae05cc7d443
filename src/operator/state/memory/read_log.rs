//! The reads made about one state of a resource. PURE.

use jiff::Timestamp;

use crate::domain::reads::Reads;

/// The reads made about one state of a resource. Another attempt or outcome starts a new log.
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

    /// The reads made about this subject.
    pub fn about(&mut self, subject: &str, now: Timestamp) -> Reads {
        if self.subject != subject {
            self.subject = subject.to_owned();
            self.reads = Reads::none(now);
        }
        // A clock that was ahead and is corrected must not delay the next reads.
        self.reads = self.reads.not_after(now);
        self.reads
    }

    /// Records a read; `answered`: CAMS answered it.
    pub fn made(&mut self, subject: &str, answered: bool, now: Timestamp) {
        self.reads = self.about(subject, now).made(answered, now);
    }

    /// Records that a read said "not verified" although status says verified.
    pub fn denied(&mut self, subject: &str, now: Timestamp) {
        let reads = self.about(subject, now);
        self.reads = Reads {
            denied: true,
            ..reads
        };
    }

    /// Records that the number was verified, which overrides an earlier "not verified".
    pub fn verified(&mut self) {
        self.reads.denied = false;
    }

    /// Records that the read after a refusal failed: it is still owed.
    pub fn make_up(&mut self, subject: &str, now: Timestamp) {
        let reads = self.about(subject, now);
        self.reads = Reads {
            make_up: true,
            ..reads
        };
    }
}
