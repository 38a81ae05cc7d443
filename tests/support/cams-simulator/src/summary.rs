//! Figures drawn from the ledger. PURE.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Decision, Entry, VERIFIED};

/// Figures of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Over everything.
    pub total: Counts,
    /// Per (account, action), in that order. The account of an unknown key is empty.
    pub actions: Vec<ActionSummary>,
    /// Executions of `ChatappMigrationVerified` per (number, code), the most first.
    pub codes: Vec<CodeSummary>,
    /// The largest `executed` of `codes`: 1 is right, 2 is a code executed twice.
    pub max_executed_per_code: u64,
    /// The largest `worst_second` of `actions`.
    pub worst_second: u64,
}

/// Results of requests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All.
    pub received: u64,
    /// Not finished.
    pub pending: u64,
    /// A check failed.
    pub rejected: u64,
    /// Over the quota or in a throttle phase.
    pub throttled: u64,
    /// Answered by a fault in place of executing.
    pub answered: u64,
    /// Lost by a fault before executing.
    pub dropped: u64,
    /// `accepted + refused`.
    pub executed: u64,
    /// Executed: OK.
    pub accepted: u64,
    /// Executed: a business refusal.
    pub refused: u64,
}

/// Figures of one action of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSummary {
    pub account: String,
    pub action: String,
    #[serde(flatten)]
    pub counts: Counts,
    /// Most calls counted (admitted or throttled) in any closed second `[t, t + 1 s]`.
    pub worst_second: u64,
    /// The same over the admitted calls.
    pub worst_second_admitted: u64,
    /// When the quota counted the first and the last call, microseconds.
    pub first_counted_us: Option<u64>,
    /// See `first_counted_us`.
    pub last_counted_us: Option<u64>,
}

/// Executions of one code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeSummary {
    pub phone: String,
    /// The code, in clear.
    pub code: String,
    /// How often it was executed.
    pub executed: u64,
    /// How often it was accepted.
    pub accepted: u64,
}

#[derive(Default)]
struct Tally {
    counts: Counts,
    counted: Vec<u64>,
    admitted: Vec<u64>,
}

impl Tally {
    fn summary(self, account: String, action: String) -> ActionSummary {
        ActionSummary {
            account,
            action,
            counts: self.counts,
            worst_second: worst_second(&self.counted),
            worst_second_admitted: worst_second(&self.admitted),
            first_counted_us: self.counted.iter().min().copied(),
            last_counted_us: self.counted.iter().max().copied(),
        }
    }
}

impl Summary {
    /// The figures of these entries.
    pub fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut total = Counts::default();
        let mut actions: BTreeMap<(String, String), Tally> = BTreeMap::new();
        let mut codes: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for entry in entries {
            let account = entry.account.clone().unwrap_or_default();
            let tally = actions.entry((account, entry.action.clone())).or_default();
            total.add(entry);
            tally.counts.add(entry);
            tally.counted.extend(entry.counted_us);
            tally
                .admitted
                .extend(entry.counted_us.filter(|_| entry.admitted()));
            if entry.action == VERIFIED && entry.executed() {
                let phone = entry.phone.clone().unwrap_or_default();
                let code = entry.code.clone().unwrap_or_default();
                let (executed, accepted) = codes.entry((phone, code)).or_default();
                *executed += 1;
                *accepted += u64::from(entry.decision == Decision::Accepted);
            }
        }
        let actions: Vec<_> = actions
            .into_iter()
            .map(|((account, action), tally)| tally.summary(account, action))
            .collect();
        let mut codes: Vec<_> = codes
            .into_iter()
            .map(|((phone, code), (executed, accepted))| CodeSummary {
                phone,
                code,
                executed,
                accepted,
            })
            .collect();
        codes.sort_by_key(|code| std::cmp::Reverse(code.executed));
        Self {
            total,
            max_executed_per_code: codes.first().map_or(0, |code| code.executed),
            worst_second: actions.iter().map(|a| a.worst_second).max().unwrap_or(0),
            actions,
            codes,
        }
    }

    /// The figures of one action, over all accounts that used it; zeros if none did.
    pub fn action(&self, action: &str) -> ActionSummary {
        let mut sum = ActionSummary {
            action: action.to_owned(),
            ..ActionSummary::default()
        };
        for part in self.actions.iter().filter(|part| part.action == action) {
            sum.account.clone_from(&part.account);
            sum.counts.merge(&part.counts);
            sum.worst_second = sum.worst_second.max(part.worst_second);
            sum.worst_second_admitted = sum.worst_second_admitted.max(part.worst_second_admitted);
            sum.first_counted_us = earliest(sum.first_counted_us, part.first_counted_us);
            sum.last_counted_us = sum.last_counted_us.max(part.last_counted_us);
        }
        sum
    }
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        self.received += 1;
        match entry.decision {
            Decision::Pending => self.pending += 1,
            Decision::Rejected => self.rejected += 1,
            Decision::Throttled => self.throttled += 1,
            Decision::Answered => self.answered += 1,
            Decision::Dropped => self.dropped += 1,
            Decision::Accepted => self.accepted += 1,
            Decision::Refused => self.refused += 1,
        }
        self.executed += u64::from(entry.executed());
    }

    fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.pending += other.pending;
        self.rejected += other.rejected;
        self.throttled += other.throttled;
        self.answered += other.answered;
        self.dropped += other.dropped;
        self.executed += other.executed;
        self.accepted += other.accepted;
        self.refused += other.refused;
    }
}

fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// When the quota counted the admitted calls of an action, ascending, microseconds.
pub fn admitted_times(entries: &[Entry], action: &str) -> Vec<u64> {
    let mut times: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == action && entry.admitted())
        .filter_map(|entry| entry.counted_us)
        .collect();
    times.sort_unstable();
    times
}

/// Most times in any closed window `[t, t + 1 s]`; the times in any order, microseconds.
pub fn worst_second(times_us: &[u64]) -> u64 {
    let mut times = times_us.to_vec();
    times.sort_unstable();
    let mut first = 0;
    let mut worst = 0;
    for (last, end) in times.iter().enumerate() {
        while times
            .get(first)
            .is_some_and(|begin| begin + 1_000_000 < *end)
        {
            first += 1;
        }
        worst = worst.max(last + 1 - first);
    }
    u64::try_from(worst).unwrap_or(u64::MAX)
}

/// Share of a quota of `limit` per second that was used in `[from, to)`; 1.0 is all of it.
#[allow(clippy::cast_precision_loss)]
pub fn utilisation(times_us: &[u64], from_us: u64, to_us: u64, limit: u32) -> f64 {
    let used = times_us.iter().filter(|t| (from_us..to_us).contains(t));
    let possible = to_us.saturating_sub(from_us) as f64 / 1e6 * f64::from(limit);
    if possible > 0.0 {
        used.count() as f64 / possible
    } else {
        0.0
    }
}
