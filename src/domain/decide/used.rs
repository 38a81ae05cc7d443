//! Whether any resource used a code before for this number. PURE.

use super::Observed;
use crate::api::code_ledger::LedgerEntry;
use crate::api::reason::CodeUse;
use crate::domain::code::{Code, key_id};

/// The use of a code, as far as the operator knows.
pub(super) enum CodeMatch<'a> {
    /// This entry spent it, without success.
    Spent(&'a LedgerEntry),
    /// It verified the number for another resource.
    VerifiedByOther,
    /// The status of another resource shows it, but the ledger does not have it.
    ShownElsewhere,
    /// The operator cannot tell: entries have the fingerprint of another key, and the Secret
    /// changed.
    Unknown,
    /// Not used.
    Different,
}

/// Compares a code with every entry, of any resource, whose code may have been used.
///
/// An equal resourceVersion of the Secret proves "same". Another one proves nothing: a changed
/// label changes it too, and a user may put an old value back.
pub(super) fn match_code<'a>(o: &Observed<'a>, code: &Code) -> CodeMatch<'a> {
    let ledger = o.ledger;
    if let Some(entry) = ledger.with_fingerprint(&code.fingerprint) {
        return used(entry);
    }
    let shown = o.neighbours.iter().flat_map(|n| &n.codes).any(|shown| {
        shown.fingerprint == code.fingerprint && !ledger.is_released(&shown.attempt_id)
    });
    if shown {
        return CodeMatch::ShownElsewhere;
    }
    let ours = key_id(&code.fingerprint);
    let other_key = |e: &&LedgerEntry| ours.is_none() || key_id(&e.fingerprint) != ours;
    let mut of_other_keys = ledger.unreleased().filter(other_key).peekable();
    if of_other_keys.peek().is_none() {
        return CodeMatch::Different;
    }
    match of_other_keys.find(|e| e.secret.as_ref() == Some(&code.secret)) {
        Some(entry) => used(entry),
        None => CodeMatch::Unknown,
    }
}

fn used(entry: &LedgerEntry) -> CodeMatch<'_> {
    match entry.code_use() {
        CodeUse::Verified => CodeMatch::VerifiedByOther,
        CodeUse::Open | CodeUse::Released | CodeUse::Spent => CodeMatch::Spent(entry),
    }
}
