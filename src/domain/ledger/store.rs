//! The new content of a ledger for each kind of write. PURE.

use jiff::Timestamp;

use super::{Ledger, whole_seconds};
use crate::api::code_ledger::{
    CodeLedgerFields, CodeLedgerSpec, LedgerEntry, LedgerSummary, MAX_IMPORTED, MAX_RELEASED,
};
use crate::api::reason::{CodeUse, Outcome};

/// The ledger to store when `entry` is claimed: `entry` first, then every entry that is not
/// released. Of released entries only the ids stay.
pub fn claim(ledger: &Ledger, phone_number: &str, entry: LedgerEntry) -> CodeLedgerFields {
    let mut released: Vec<String> = ledger
        .entries
        .iter()
        .filter(|e| e.is_released())
        .map(|e| e.attempt_id.clone())
        .collect();
    released.extend(ledger.released.iter().cloned());
    let kept = ledger.entries.iter().filter(|e| !e.is_released()).cloned();
    let entries = std::iter::once(entry).chain(kept).collect();
    fields(phone_number, storable(entries, &ledger.unstored), released)
}

/// The ledger to store when the entries that only a status or memory has are written without a
/// claim; `None` if there is nothing to add. An attempt in `abandoned` was never sent.
pub fn put_back(
    ledger: &Ledger,
    phone_number: &str,
    abandoned: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Option<CodeLedgerFields> {
    if ledger.unstored.is_empty() || ledger.unusable.is_some() {
        return None;
    }
    let is_new = |e: &LedgerEntry| ledger.unstored.contains(&e.attempt_id);
    let mut entries = storable(ledger.entries.clone(), &ledger.unstored);
    for entry in entries.iter_mut().filter(|e| is_new(e) && e.is_open()) {
        if abandoned(&entry.attempt_id) {
            finish(entry, &Ended::of(Outcome::NotSent), now);
        }
    }
    // At most one entry may be open: a second one waits until the first has ended.
    let stored_open = entries.iter().any(|e| e.is_open() && !is_new(e));
    let mut may_open = !stored_open;
    entries.retain(|e| {
        let keep = !(is_new(e) && e.is_open()) || may_open;
        may_open &= !e.is_open();
        keep
    });
    let adds = entries.iter().any(is_new);
    adds.then(|| fields(phone_number, entries, ledger.released.clone()))
}

/// Leaves out new imported entries beyond the limit of twenty. Stored ones stay, and open ones come
/// before ended ones.
fn storable(entries: Vec<LedgerEntry>, unstored: &[String]) -> Vec<LedgerEntry> {
    let is_new = |e: &LedgerEntry| e.imported && unstored.contains(&e.attempt_id);
    let stored = entries.iter().filter(|e| e.imported && !is_new(e)).count();
    let room = MAX_IMPORTED.saturating_sub(stored);
    let (open, ended): (Vec<&LedgerEntry>, Vec<&LedgerEntry>) = entries
        .iter()
        .filter(|e| is_new(e))
        .partition(|e| e.is_open());
    let fitting: Vec<String> = open
        .into_iter()
        .chain(ended)
        .take(room)
        .map(|e| e.attempt_id.clone())
        .collect();
    let fits = |e: &LedgerEntry| !is_new(e) || fitting.contains(&e.attempt_id);
    entries.into_iter().filter(fits).collect()
}

fn fields(
    phone_number: &str,
    entries: Vec<LedgerEntry>,
    mut released: Vec<String>,
) -> CodeLedgerFields {
    released.truncate(MAX_RELEASED);
    CodeLedgerFields {
        spec: CodeLedgerSpec {
            phone_number: phone_number.to_owned(),
        },
        summary: summary(&entries),
        entries,
        released,
    }
}

fn summary(entries: &[LedgerEntry]) -> LedgerSummary {
    let newest = entries.first();
    LedgerSummary {
        entries: i32::try_from(entries.len()).unwrap_or(i32::MAX),
        open: entries.iter().any(LedgerEntry::is_open),
        outcome: newest
            .and_then(|e| e.outcome)
            .map(|outcome| outcome.as_str().to_owned()),
        resource: newest.map(|e| format!("{}/{}", e.migration.namespace, e.migration.name)),
    }
}

/// How an attempt ended, and the reply details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The outcome.
    pub outcome: Outcome,
    /// `Code`, or the operator's own word if CAMS gave none.
    pub error_code: Option<String>,
    /// `Message`, scrubbed.
    pub error_message: Option<String>,
    /// `RequestId`.
    pub request_id: Option<String>,
    /// `Data.Id`.
    pub id: Option<String>,
}

impl Ended {
    /// An outcome without reply details.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            error_code: None,
            error_message: None,
            request_id: None,
            id: None,
        }
    }

    /// How this entry ended; `None` if it is open.
    pub fn of_entry(entry: &LedgerEntry) -> Option<Self> {
        let outcome = entry.outcome.filter(|_| !entry.is_open())?;
        Some(Self {
            outcome,
            error_code: entry.error_code.clone(),
            error_message: entry.error_message.clone(),
            request_id: entry.request_id.clone(),
            id: entry.id.clone(),
        })
    }
}

/// Sets the outcome of an entry, cut to the bounds of the schema: if the API server refused this
/// write, the outcome would be lost.
pub fn finish(entry: &mut LedgerEntry, ended: &Ended, now: Timestamp) {
    use crate::api::crd::{MAX_IDENTIFIER, MAX_MESSAGE};
    let cut = |text: &Option<String>, max: usize| {
        text.as_ref()
            .map(|t| t.chars().take(max).collect::<String>())
    };
    if entry.outcome != Some(ended.outcome) || entry.finished_at.is_none() {
        entry.finished_at = Some(whole_seconds(now));
    }
    entry.outcome = Some(ended.outcome);
    if ended.error_code.is_some() || ended.outcome.code_use() == CodeUse::Verified {
        entry.error_code = cut(&ended.error_code, MAX_IDENTIFIER);
        entry.error_message = cut(&ended.error_message, MAX_MESSAGE);
    }
    if ended.request_id.is_some() {
        entry.request_id = cut(&ended.request_id, MAX_IDENTIFIER);
    }
    if ended.id.is_some() {
        entry.id = cut(&ended.id, MAX_IDENTIFIER);
    }
}

/// The write that an outcome needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// No write: the ledger has this outcome, or one that overrides it.
    Stands,
    /// Store this, over the version that was read.
    Write(Box<CodeLedgerFields>),
    /// The entry is gone, and must not be put back now. Another entry has spent its code; or two
    /// would be open, and memory puts it back when the other one has ended.
    Withheld,
}

/// The write that records the outcome `ended` of `entry` in the stored ledger.
pub fn recording(
    stored: &Ledger,
    phone_number: &str,
    entry: &LedgerEntry,
    ended: &Ended,
    now: Timestamp,
) -> Recording {
    if let Some(known) = stored.entry(&entry.attempt_id) {
        let brings_id = known.outcome == Some(ended.outcome) && known.id.is_none();
        let news = match brings_id && ended.id.is_some() {
            true => true,
            false => {
                known.outcome != Some(ended.outcome) && ended.outcome.may_replace(known.outcome)
            }
        };
        let rival = ended.outcome == Outcome::Adopted && stored.has_rival(&entry.attempt_id);
        if !news || rival {
            return Recording::Stands;
        }
        let mut entries = stored.entries.clone();
        for e in &mut entries {
            if e.attempt_id == entry.attempt_id {
                finish(e, ended, now);
            }
        }
        let new = fields(phone_number, entries, stored.released.clone());
        return Recording::Write(Box::new(new));
    }
    if stored.released.contains(&entry.attempt_id) {
        return Recording::Stands;
    }
    let mut ended_entry = entry.clone();
    // With a rival nothing is adopted: the entry is put back as it was.
    if ended.outcome != Outcome::Adopted || !stored.has_rival(&entry.attempt_id) {
        finish(&mut ended_entry, ended, now);
    }
    let spent = stored.with_fingerprint(&entry.fingerprint).is_some();
    let two_open = ended_entry.is_open() && stored.open().is_some();
    if !ended_entry.is_released() && (spent || two_open) {
        return Recording::Withheld;
    }
    let mut ledger = stored.clone();
    ledger.insert_by_age(ended_entry);
    let new = fields(phone_number, ledger.entries, ledger.released);
    Recording::Write(Box::new(new))
}

/// The ledger as if the outcome were stored, so that status can show it before it is.
pub fn as_if_recorded(
    ledger: &Ledger,
    entry: &LedgerEntry,
    ended: &Ended,
    now: Timestamp,
) -> Ledger {
    let mut ledger = ledger.clone();
    if ledger.entry(&entry.attempt_id).is_none() {
        ledger.entries.insert(0, entry.clone());
    }
    for e in &mut ledger.entries {
        if e.attempt_id == entry.attempt_id && ended.outcome.may_replace(e.outcome) {
            finish(e, ended, now);
        }
    }
    ledger
}
