//! The cloud's ledger, indexed by number and by attempt. PURE.
//!
//! The ledger decides what was executed, never the operator's own account of it.

use std::collections::HashMap;

use cams_simulator::{Decision, Delivery, Entry, Fault, READ_STATUS, Summary, VERIFIED};

/// The ledger, indexed.
pub struct Books<'a> {
    by_nonce: HashMap<&'a str, Vec<&'a Entry>>,
    submissions: HashMap<&'a str, Vec<&'a Entry>>,
    reads: HashMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Books<'a> {
    /// Of a whole ledger.
    pub fn of(ledger: &'a [Entry]) -> Self {
        let mut books = Self {
            by_nonce: HashMap::new(),
            submissions: HashMap::new(),
            reads: HashMap::new(),
        };
        for entry in ledger {
            let phone = entry.phone.as_deref().unwrap_or_default();
            if entry.action == VERIFIED {
                let nonce = entry.nonce.as_deref().unwrap_or_default();
                books.by_nonce.entry(nonce).or_default().push(entry);
                books.submissions.entry(phone).or_default().push(entry);
            } else if entry.action == READ_STATUS {
                books.reads.entry(phone).or_default().push(entry);
            }
        }
        books
    }

    /// The submissions of an attempt, whose id is their nonce: none or one, or it was sent twice.
    pub fn of_attempt(&self, id: &str) -> &[&'a Entry] {
        self.by_nonce.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The submissions of a number.
    pub fn of_number(&self, phone: &str) -> &[&'a Entry] {
        self.submissions
            .get(phone)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The status reads of a number.
    pub fn reads_of(&self, phone: &str) -> &[&'a Entry] {
        self.reads.get(phone).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether one of the calls of this number that are `own` was executed and accepted.
    pub fn accepted_of(&self, phone: &str, own: impl Fn(&Entry) -> bool) -> bool {
        self.of_number(phone)
            .iter()
            .any(|entry| entry.decision == Decision::Accepted && own(entry))
    }

    /// The requests of each attempt of which more than one arrived.
    pub(crate) fn sent_twice(&self) -> impl Iterator<Item = &[&'a Entry]> {
        let several = self.by_nonce.values().filter(|rows| rows.len() > 1);
        several.map(Vec::as_slice)
    }
}

/// Numbers of which one code was executed more than once, and how often.
pub(crate) fn executed_twice(summary: &Summary) -> Vec<(&str, u64)> {
    let codes = summary.codes.iter().filter(|code| code.executed > 1);
    codes
        .map(|code| (code.phone.as_str(), code.executed))
        .collect()
}

/// Share of the calls that the quota may throttle in cases that are not about throttles: on a busy
/// machine some arrive late, and the next ones early.
const THROTTLED_SHARE: f64 = 0.05;
/// Calls that it may throttle in addition.
const THROTTLED: usize = 2;

/// The calls that the quota throttled. The simulator admits no more than the quota, so only these
/// show whether the operator kept the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttles {
    pub calls: usize,
    /// Throttled by the quota.
    pub throttled: usize,
    /// The allowed number of them.
    pub most: usize,
}

impl Throttles {
    /// Counts them in this ledger.
    pub fn of(ledger: &[Entry]) -> Self {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        #[allow(clippy::cast_sign_loss)]
        let share = (ledger.len() as f64 * THROTTLED_SHARE) as usize;
        Self {
            calls: ledger.len(),
            throttled: ledger.iter().filter(|row| throttled_by_quota(row)).count(),
            most: share + THROTTLED,
        }
    }

    /// More than the allowed number.
    pub fn exceeded(&self) -> bool {
        self.throttled > self.most
    }
}

impl std::fmt::Display for Throttles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            calls,
            throttled,
            most,
        } = self;
        write!(
            f,
            "{throttled} of {calls} calls were throttled, {most} may be"
        )
    }
}

/// Throttled by the quota, not by a staged spell.
pub fn throttled_by_quota(entry: &Entry) -> bool {
    let staged = |met: &cams_simulator::Met| matches!(met.fault, Fault::Throttle { .. });
    entry.decision == Decision::Throttled && !entry.faults.iter().any(staged)
}

/// Whether the whole reply left, with the content that the service meant.
pub fn replied(entry: &Entry) -> bool {
    let replaced = |met: &cams_simulator::Met| match met.fault {
        Fault::Answer { .. } => true,
        // The reply belongs to its request by the connection, whatever number it shows.
        Fault::OtherPhone { .. }
        | Fault::Delay { .. }
        | Fault::Gate { .. }
        | Fault::Drop { .. }
        | Fault::Slow { .. }
        | Fault::MaskPhone
        | Fault::OmitId
        | Fault::OmitData
        | Fault::Message { .. }
        | Fault::Throttle { .. }
        | Fault::ReadLag { .. }
        | Fault::ClockOffset { .. } => false,
    };
    entry.delivery == Delivery::Complete && !entry.faults.iter().any(replaced)
}
