//! The attempts that status shows, from a number's ledger. PURE.

use super::Ledger;
use crate::api::code_ledger::LedgerEntry;
use crate::api::crd::{Attempt, PhoneMigration, PhoneMigrationStatus, SpentCode};
use crate::api::reason::{CodeUse, Outcome, Reason};

/// The attempts of one PhoneMigration as status shows them: a view of the ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The open attempt, else the one that verified the number, else the last one.
    pub attempt: Option<Attempt>,
    /// Spent codes, newest first.
    pub history: Vec<SpentCode>,
}

/// The attempts that the status of `object` must show.
///
/// Danger: an attempt in status that the ledger does not have stays as it is. After a loss of the
/// ledger it is the only evidence that its code was spent; without this rule the operator would
/// send the code again.
pub fn shown(object: &PhoneMigration, ledger: &Ledger) -> Shown {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let mut number = 0;
    let mut attempts: Vec<(Attempt, Option<SpentCode>)> = ledger
        .of_uid(uid)
        .rev()
        .map(|entry| {
            let next = number + 1;
            if !entry.is_released() {
                number = next;
            }
            (attempt_of(entry, next), spent_of(entry, next))
        })
        .collect();
    attempts.reverse();
    // An open attempt, or the one that verified the number, is not in history: show it, not a later
    // one.
    let use_of = |used: CodeUse| move |(a, _): &&(Attempt, _)| used_of(a.outcome) == used;
    let first = attempts.iter().find(use_of(CodeUse::Open));
    let first = first.or_else(|| attempts.iter().find(use_of(CodeUse::Verified)));
    let first = first.or(attempts.first());
    let mut shown = Shown {
        attempt: first.map(|(attempt, _)| attempt.clone()),
        history: attempts
            .into_iter()
            .filter_map(|(_, spent)| spent)
            .collect(),
    };
    keep_evidence(&mut shown, object, ledger);
    agree(&mut shown);
    shown
}

/// True if status shows an end, but `ledger`, which was read earlier, has an open entry. Unless the
/// ledger is read again, two active processes overwrite each other's status until the entry is
/// final.
pub fn is_outdated(ledger: &Ledger, object: &PhoneMigration) -> bool {
    let (Some(open), Some(status)) = (ledger.open(), &object.status) else {
        return false;
    };
    let attempt = status.attempt.as_ref().filter(|a| a.id == open.attempt_id);
    let ended = attempt.is_some_and(|a| used_of(a.outcome) != CodeUse::Open);
    let says_an_end = matches!(
        status.reason(),
        Some(
            Reason::CodeRejected
                | Reason::RequestRejected
                | Reason::AttemptsExhausted
                | Reason::DuplicatePhoneNumber
        )
    );
    ended || says_an_end
}

/// Makes history agree with the shown attempt.
fn agree(shown: &mut Shown) {
    let Some(attempt) = &shown.attempt else {
        return;
    };
    let is_spent = used_of(attempt.outcome) == CodeUse::Spent;
    shown.history.retain_mut(|e| {
        let same = e.attempt_id == attempt.id;
        if same {
            e.outcome = attempt.outcome.unwrap_or(e.outcome);
        }
        !same || is_spent
    });
}

fn keep_evidence(shown: &mut Shown, object: &PhoneMigration, ledger: &Ledger) {
    let Some(status) = &object.status else { return };
    keep_history(shown, status, ledger);
    let shown_as = |id: &str| status.attempt.as_ref().is_some_and(|a| a.id == id);
    if let Some(new) = &mut shown.attempt
        && !shown_as(&new.id)
        && let Some(spent) = shown.history.iter().find(|e| e.attempt_id == new.id)
        && new.outcome != Some(spent.outcome)
    {
        (new.outcome, new.finished_at) = (Some(spent.outcome), Some(spent.finished_at.clone()));
    }
    if let Some(attempt) = &status.attempt {
        keep_attempt(shown, attempt, ledger);
    }
}

/// True for an attempt that only the status shows.
fn is_unknown(ledger: &Ledger, id: &str) -> bool {
    ledger.entry(id).is_none() && !ledger.released.iter().any(|known| known == id)
}

/// Keeps the spent codes that only the status shows, and those whose outcome the ledger weakens.
fn keep_history(shown: &mut Shown, status: &PhoneMigrationStatus, ledger: &Ledger) {
    // If `attempt` and history of the status name the same attempt, `attempt` decides.
    let outcome_of = |spent: &SpentCode| match &status.attempt {
        Some(attempt) if attempt.id == spent.attempt_id => attempt.outcome,
        Some(_) | None => Some(spent.outcome),
    };
    // A weaker outcome never replaces a definite one in status.
    let weaker = |id: &str, known: Option<Outcome>| {
        ledger.entry(id).is_some_and(|e| {
            let replaces = e.outcome.is_some_and(|o| o.may_replace(known));
            known.is_some() && e.outcome != known && !replaces
        })
    };
    for spent in &status.history {
        let known = outcome_of(spent);
        if is_unknown(ledger, &spent.attempt_id) {
            insert_spent(&mut shown.history, spent.clone());
        } else if weaker(&spent.attempt_id, known) {
            let outcome = known.unwrap_or(spent.outcome);
            let kept = SpentCode {
                outcome,
                ..spent.clone()
            };
            insert_spent(&mut shown.history, kept);
        }
    }
}

/// Keeps the attempt of the status where only the status shows it, and its outcome where the ledger
/// weakens it.
fn keep_attempt(shown: &mut Shown, attempt: &Attempt, ledger: &Ledger) {
    if let Some(new) = shown.attempt.as_mut().filter(|new| new.id == attempt.id) {
        // A weaker outcome never replaces a definite one in status.
        let known = attempt.outcome;
        if new.outcome != known && !new.outcome.is_some_and(|o| o.may_replace(known)) {
            new.outcome = known.or(new.outcome);
            new.finished_at = attempt.finished_at.clone().or(new.finished_at.take());
            let kept = used_of(new.outcome) == CodeUse::Spent;
            let (id, outcome) = (new.id.clone(), new.outcome);
            shown.history.retain_mut(|e| {
                e.outcome = outcome.filter(|_| e.attempt_id == id).unwrap_or(e.outcome);
                e.attempt_id != id || kept
            });
        }
        return;
    }
    let used = used_of(attempt.outcome);
    let fingerprint = attempt.code_fingerprint.as_deref();
    let same_code = fingerprint.and_then(|fingerprint| ledger.with_fingerprint(fingerprint));
    let superseded = same_code.is_some_and(|entry| !entry.is_open());
    if !is_unknown(ledger, &attempt.id) || (used == CodeUse::Open && superseded) {
        return;
    }
    // The attempt of the status replaces an older one that history also shows, or that was
    // released.
    let makes_room = |shown: &Attempt| match used_of(shown.outcome) {
        CodeUse::Spent | CodeUse::Released => shown.signed_at.0 <= attempt.signed_at.0,
        CodeUse::Open | CodeUse::Verified => false,
    };
    if shown.attempt.as_ref().is_none_or(makes_room) {
        shown.attempt = Some(attempt.clone());
    } else if used != CodeUse::Released && shown.history.iter().all(|e| e.attempt_id != attempt.id)
    {
        insert_spent(&mut shown.history, as_spent(attempt));
    }
}

fn used_of(outcome: Option<Outcome>) -> CodeUse {
    outcome.map_or(CodeUse::Open, Outcome::code_use)
}

/// Inserts by age, newest first; replaces an item of the same attempt.
fn insert_spent(history: &mut Vec<SpentCode>, spent: SpentCode) {
    history.retain(|e| e.attempt_id != spent.attempt_id);
    let older = |e: &SpentCode| e.finished_at.0 < spent.finished_at.0;
    let place = history.iter().position(older);
    history.insert(place.unwrap_or(history.len()), spent);
}

fn as_spent(attempt: &Attempt) -> SpentCode {
    SpentCode {
        number: attempt.number,
        attempt_id: attempt.id.clone(),
        code_fingerprint: attempt.code_fingerprint.clone(),
        outcome: attempt.outcome.unwrap_or(Outcome::Unknown),
        error_code: None,
        request_id: None,
        finished_at: attempt
            .finished_at
            .clone()
            .unwrap_or(attempt.signed_at.clone()),
    }
}

fn attempt_of(entry: &LedgerEntry, number: i32) -> Attempt {
    Attempt {
        number,
        id: entry.attempt_id.clone(),
        signed_at: entry.signed_at.clone(),
        final_at: Some(entry.final_at.clone()),
        secret: entry.secret.clone(),
        code_fingerprint: Some(entry.fingerprint.clone()),
        generation: entry.migration.generation,
        outcome: entry.outcome,
        finished_at: entry.finished_at.clone(),
    }
}

/// The history item of a spent entry; `None` if it is open, released, or verified the number.
fn spent_of(entry: &LedgerEntry, number: i32) -> Option<SpentCode> {
    let outcome = entry.outcome?;
    match outcome.code_use() {
        CodeUse::Spent => {}
        CodeUse::Open | CodeUse::Released | CodeUse::Verified => return None,
    }
    Some(SpentCode {
        number,
        attempt_id: entry.attempt_id.clone(),
        code_fingerprint: Some(entry.fingerprint.clone()),
        outcome,
        error_code: entry.error_code.clone(),
        request_id: entry.request_id.clone(),
        finished_at: entry.finished_at.clone().unwrap_or(entry.signed_at.clone()),
    })
}
