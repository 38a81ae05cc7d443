//! The known codes submitted for one phone number, and the writes to its CodeLedger. PURE.
//!
//! [`Ledger`] is the stored ledger plus the entries that only a status, or this process's memory,
//! has ([`import`]). Decisions use it, writes are built from it ([`claim`], [`recording`]), and
//! status is a view of it ([`shown`]).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest, Sha256};

use crate::api::code_ledger::{CodeLedger, LedgerEntry, MAX_CLAIMS};
use crate::api::reason::CodeUse;
use crate::hex::hex;

mod import;
mod store;
mod view;

pub use import::{import, migration_of};
pub use store::{Ended, Recording, as_if_recorded, claim, finish, put_back, recording};
pub use view::{Shown, is_outdated, shown};

/// The account's name in ledger names. Danger: never change this literal. With another one, the
/// operator would look for every spent code in another ledger.
const ACCOUNT: &str = "default";
/// The operator writes no entry that is dated further ahead than this.
const MOST_AHEAD: Duration = Duration::from_secs(60);
/// No signature is valid for longer than this: `--signature-validity` is at most 24 h.
const LONGEST_OPEN: Duration = Duration::from_secs(25 * 3600);
/// How long a ledger is kept after its newest entry ended.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Name of the CodeLedger of a phone number: the first 32 hex digits of SHA-256("default", NUL,
/// number). The hash keeps numbers out of URLs, audit lines and errors; it is not a secret.
pub fn ledger_name(phone_number: &str) -> String {
    let digest = Sha256::new()
        .chain_update(ACCOUNT)
        .chain_update([0])
        .chain_update(phone_number)
        .finalize();
    hex(&digest[..16])
}

/// Why the operator cannot use a ledger: it sends nothing for the number, and overwrites nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A field is missing or not of this version, or an outcome is an unknown word.
    Unparsable,
    /// It names another phone number than the one that its name stands for.
    OtherNumber,
    /// An entry is dated more than a minute ahead.
    AheadOfTime,
    /// An entry says that its signature is good for more than 25 h.
    EndsTooLate,
    /// More than one entry is open.
    TwoOpen,
    /// Its deletion has begun.
    BeingDeleted,
    /// The API server refuses the operator's writes for this number, and for no other.
    WriteRefused,
}

/// The known codes submitted for one number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Newest first.
    pub entries: Vec<LedgerEntry>,
    /// Ids of released attempts that are no longer among the entries, newest first.
    pub released: Vec<String>,
    /// Ids of entries that are not stored yet.
    pub unstored: Vec<String>,
    /// Set if it cannot be used.
    pub unusable: Option<Unusable>,
}

impl Ledger {
    /// A ledger that cannot be used.
    pub fn unusable(why: Unusable) -> Self {
        Self {
            unusable: Some(why),
            ..Self::default()
        }
    }

    /// The stored ledger of this number; without an `object`, an empty one.
    pub fn stored(object: Option<&CodeLedger>, phone_number: &str, now: Timestamp) -> Self {
        let Some(object) = object else {
            return Self::default();
        };
        Self {
            entries: object.spec.entries.clone(),
            released: object.spec.released.clone(),
            unstored: Vec::new(),
            unusable: check(object, phone_number, now),
        }
    }

    /// The entry whose request may still be executed. A stored one comes first: at most one can be
    /// stored, so an entry that only a status has waits until that one has ended.
    pub fn open(&self) -> Option<&LedgerEntry> {
        let mut open = self.entries.iter().filter(|entry| entry.is_open());
        let is_stored = |entry: &&LedgerEntry| !self.unstored.contains(&entry.attempt_id);
        open.clone().find(is_stored).or_else(|| open.next())
    }

    /// The entry of this attempt.
    pub fn entry(&self, attempt_id: &str) -> Option<&LedgerEntry> {
        self.entries.iter().find(|e| e.attempt_id == attempt_id)
    }

    /// True if the attempt was released, even if its entry is gone.
    pub fn is_released(&self, attempt_id: &str) -> bool {
        self.released.iter().any(|id| id == attempt_id)
            || self.entry(attempt_id).is_some_and(LedgerEntry::is_released)
    }

    /// Entries of one PhoneMigration, newest first.
    pub fn of_uid<'a>(&'a self, uid: &'a str) -> impl DoubleEndedIterator<Item = &'a LedgerEntry> {
        self.entries.iter().filter(move |e| e.migration.uid == uid)
    }

    /// The newest entry of this PhoneMigration whose code was spent without success.
    pub fn own_spent(&self, uid: &str) -> Option<&LedgerEntry> {
        let mut own = self.entries.iter().filter(|e| e.migration.uid == uid);
        own.find(|e| e.code_use() == CodeUse::Spent)
    }

    /// The entry of this PhoneMigration that verified the number. Danger: an entry that only a
    /// status has can be forged, and must not hide an entry of the ledger.
    pub fn own_verified(&self, uid: &str) -> Option<&LedgerEntry> {
        let own = self.entries.iter().filter(|e| e.migration.uid == uid);
        let verified = own.filter(|e| e.code_use() == CodeUse::Verified);
        verified.min_by_key(|e| e.imported)
    }

    /// Entries whose code may have been used.
    pub fn unreleased(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(|entry| !entry.is_released())
    }

    /// The unreleased entry, of any resource, that has this code.
    pub fn with_fingerprint(&self, fingerprint: &str) -> Option<&LedgerEntry> {
        self.unreleased().find(|e| e.fingerprint == fingerprint)
    }

    /// How many codes this namespace has spent on the number.
    pub fn spent_in(&self, namespace: &str) -> usize {
        self.unreleased()
            .filter(|e| e.migration.namespace == namespace)
            .count()
    }

    /// How many codes other namespaces have submitted for the number.
    pub fn submitted_elsewhere(&self, namespace: &str) -> usize {
        self.unreleased()
            .filter(|e| !e.imported && e.migration.namespace != namespace)
            .count()
    }

    /// True if all namespaces together have submitted as many codes as the number may ever have.
    pub fn is_full(&self) -> bool {
        self.unreleased().filter(|e| !e.imported).count() >= MAX_CLAIMS
    }

    /// True if another entry is open or verified: then this one must not adopt a verification.
    pub fn has_rival(&self, attempt_id: &str) -> bool {
        self.entries.iter().any(|e| {
            e.attempt_id != attempt_id && matches!(e.code_use(), CodeUse::Open | CodeUse::Verified)
        })
    }

    fn insert_by_age(&mut self, entry: LedgerEntry) {
        let older = |e: &LedgerEntry| e.signed_at.0 < entry.signed_at.0;
        let place = self.entries.iter().position(older);
        self.entries
            .insert(place.unwrap_or(self.entries.len()), entry);
    }
}

fn check(object: &CodeLedger, phone_number: &str, now: Timestamp) -> Option<Unusable> {
    if object.metadata.deletion_timestamp.is_some() {
        return Some(Unusable::BeingDeleted);
    }
    let fields = &object.spec;
    if fields.spec.phone_number != phone_number {
        return Some(Unusable::OtherNumber);
    }
    let latest = now.checked_add(MOST_AHEAD).unwrap_or(Timestamp::MAX);
    if fields.entries.iter().any(|e| e.signed_at.0 > latest) {
        return Some(Unusable::AheadOfTime);
    }
    let too_late = |e: &LedgerEntry| e.final_at.0 > end_at_most(e.signed_at.0);
    if fields.entries.iter().any(too_late) {
        return Some(Unusable::EndsTooLate);
    }
    let open = fields.entries.iter().filter(|e| e.is_open()).count();
    (open > 1).then_some(Unusable::TwoOpen)
}

fn end_at_most(signed_at: Timestamp) -> Timestamp {
    signed_at
        .checked_add(LONGEST_OPEN)
        .unwrap_or(Timestamp::MAX)
}

/// The time in whole seconds, as the API server keeps it: a finer one would differ when read back.
pub fn whole_seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// True if a ledger may be deleted once no watched PhoneMigration has its number: all entries have
/// ended, the newest more than 30 days ago.
pub fn is_past_retention(ledger: &Ledger, now: Timestamp) -> bool {
    let old = |e: &LedgerEntry| {
        let at = e
            .finished_at
            .as_ref()
            .unwrap_or(&e.signed_at)
            .0
            .max(e.final_at.0);
        at.checked_add(RETENTION).is_ok_and(|end| end < now)
    };
    ledger.unusable.is_none()
        && ledger.open().is_none()
        && !ledger.entries.is_empty()
        && ledger.entries.iter().all(old)
}
