//! The decisions between the requests of an attempt: whether a pre-read is needed, whether a stored
//! claim is the attempt's own, whether the gate opens, and which outcome an answer gives. PURE.
//!
//! The other modules only execute these decisions, so that a model can run the real ones.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::api::crd::{DEFAULT_ATTEMPT_LIMIT, PhoneMigration};
use crate::api::reason::{CodeUse, Outcome, Reason};
use crate::api::shown_number::ShownNumber;
use crate::cams::{Answer, BlockCause, Refusal, RefusalKind, Verdict};
use crate::clock::Now;
use crate::domain::code::Code;
use crate::domain::decide::{self, Neighbour, Permit};
use crate::domain::fact::{CamsResult, Fact, ReleaseCause, ReplyDetails, VerifiedBy};
use crate::domain::ledger::{Ended, Ledger, import, migration_of, whole_seconds};
use crate::domain::reads::{ReadResult, decisive_read, final_at};
use crate::operator::state::sent::SentEntries;

/// Age limit of a signature that is still sent, by both clocks. Danger: raising it widens the
/// window in which a process that was stopped after its claim may still send.
const FRESH: Duration = Duration::from_secs(10);

/// True if less than 10 s old by the boot clock and by the wall clock. A wall clock that stepped
/// back behind the signature makes it stale.
pub fn is_fresh(signed: Now, now: Now) -> bool {
    let by_wall = now.wall.duration_since(signed.wall);
    now.boot.saturating_sub(signed.boot) < FRESH
        && !by_wall.is_negative()
        && by_wall.unsigned_abs() < FRESH
}

/// Whether an attempt needs a pre-read although nothing probes the account: this resource has spent
/// no code yet, so another client may have verified the number.
pub fn reads_first(object: &PhoneMigration) -> bool {
    let status = object.status.as_ref();
    status.is_none_or(|status| status.history.is_empty())
}

/// What to do with a resource whose number was found verified.
#[derive(Clone, Debug, PartialEq)]
pub enum Adoption {
    /// The code of another existing resource verified the number.
    Duplicate(Fact),
    /// Nothing now: an attempt is open, the ledger cannot be used, or it says itself what to show.
    Wait,
    /// Show the number as verified, and this entry of the resource, if it has one, as adopted.
    Adopt(Option<Box<LedgerEntry>>),
}

/// Decides what to do with a resource whose number was found verified.
pub fn adoption(object: &PhoneMigration, known: &Ledger, neighbours: &[Neighbour]) -> Adoption {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    if known.unusable.is_some() {
        return Adoption::Wait;
    }
    if let Some(fact) = decide::duplicate(object, known, neighbours) {
        return Adoption::Duplicate(fact);
    }
    // Also its own attempt: a killed process may have sent it, and its observation ends it.
    if known.open().is_some() {
        return Adoption::Wait;
    }
    // The resource's own code verified it, but no status shows that yet: the next reconcile does.
    if known.own_verified(uid).is_some_and(|entry| !entry.imported) {
        return Adoption::Wait;
    }
    Adoption::Adopt(known.own_spent(uid).cloned().map(Box::new))
}

/// Whether the live resource is still the one that the earlier reads were about.
pub fn is_same_subject(cached: &PhoneMigration, live: &PhoneMigration) -> bool {
    cached.metadata.uid == live.metadata.uid
        && live.metadata.deletion_timestamp.is_none()
        && cached.spec.phone_number == live.spec.phone_number
        && cached.spec.cust_space_id == live.spec.cust_space_id
        && cached.spec.verify_code_secret_ref == live.spec.verify_code_secret_ref
}

/// Until when no other code of the number may be claimed although the ledger allows it: this
/// process sent one, does not know its outcome, and the ledger lacks it. Such an entry stays
/// missing only if a restored ledger holds its code under another attempt.
pub fn under_way(sent: &[LedgerEntry], known: &Ledger, now: Timestamp) -> Option<Timestamp> {
    let lacks = |e: &&LedgerEntry| {
        known.entry(&e.attempt_id).is_none() && !known.is_released(&e.attempt_id)
    };
    let open = sent.iter().filter(|e| e.is_open()).filter(lacks);
    open.map(|e| e.final_at.0).filter(|end| *end >= now).max()
}

/// The ledger entry of the attempt that was just signed.
pub fn entry(
    object: &PhoneMigration,
    attempt_id: &str,
    signed_at: Timestamp,
    validity: Duration,
    code: &Code,
) -> LedgerEntry {
    let signed_at = whole_seconds(signed_at);
    LedgerEntry {
        attempt_id: attempt_id.to_owned(),
        fingerprint: code.fingerprint.clone(),
        final_at: whole_seconds(final_at(signed_at.0, validity)),
        signed_at,
        cust_space_id: object.spec.cust_space_id.clone(),
        migration: migration_of(object),
        secret: Some(code.secret.clone()),
        imported: false,
        outcome: None,
        error_code: None,
        error_message: None,
        request_id: None,
        id: None,
        finished_at: None,
    }
}

/// Whether the reply to the claim has this entry, unchanged: a policy may have altered it.
pub fn holds(stored: &CodeLedger, entry: &LedgerEntry) -> bool {
    stored.spec.entries.iter().any(|e| e == entry)
}

/// After a conflict or a lost reply of the claim's write: whether the stored ledger has the claim,
/// still open, and the signature is still fresh.
pub fn recognises(stored: &Ledger, entry: &LedgerEntry, signed: Now, now: Now) -> bool {
    stored.unusable.is_none() && stored.entries.iter().any(|e| e == entry) && is_fresh(signed, now)
}

/// Whether the status of `live`, read after the claim `ours` created the ledger, shows an attempt
/// that the ledger lacks. A missing ledger has no version, so a create alone cannot exclude that.
/// Danger: the other attempt may have this very code, so `ours` must not count as that attempt. If
/// another process has adopted `ours` by a read, status shows `ours` in its place.
pub fn status_knows_more(
    live: &PhoneMigration,
    stored: &Ledger,
    ours: &LedgerEntry,
    validity: Duration,
    now: Timestamp,
) -> bool {
    let mut known = stored.clone();
    let claims = known.entries.iter_mut();
    for claim in claims.filter(|e| e.attempt_id == ours.attempt_id) {
        claim.fingerprint.clear();
    }
    let shown = live.status.as_ref().and_then(|s| s.attempt.as_ref());
    let ours_ended = shown.is_some_and(|a| {
        a.id == ours.attempt_id && a.outcome.is_some_and(|o| o.code_use() != CodeUse::Open)
    });
    let reason = live.status.as_ref().and_then(|s| s.reason());
    let verified = reason == Some(Reason::Verified);
    ours_ended
        || verified
        || !import(known, &[], Some(live), validity, now)
            .unstored
            .is_empty()
}

/// An attempt at its gate.
pub struct AtGate<'a> {
    /// The phone number.
    pub number: &'a str,
    /// The claim.
    pub entry: &'a LedgerEntry,
    /// The code to send.
    pub code: &'a Code,
    /// When the request was signed.
    pub signed: Now,
}

/// The last decision before the bytes leave. If the gate opens, the attempt is added to `sent`.
///
/// # Errors
/// The reason why nothing is sent.
pub fn open_gate(
    at: &AtGate<'_>,
    may_act: bool,
    sent: &SentEntries,
    now: Now,
) -> Result<(), &'static str> {
    if !is_fresh(at.signed, now) {
        return Err("the signature is too old");
    }
    if !may_act {
        return Err("this process is stopping or no longer leads");
    }
    if at.code.is_expired(now.wall) {
        return Err("the code expired");
    }
    if !sent.begin(at.number, at.entry) {
        return Err("another attempt has this code");
    }
    Ok(())
}

/// What the answer to the only send means for the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Concluded {
    /// The end of the attempt, for the ledger.
    pub ended: Ended,
    /// The release cause, if the attempt was released.
    pub release_cause: Option<ReleaseCause>,
    /// The number as the reply shows it.
    pub phone_number: Option<ShownNumber>,
}

/// Derives the end of the attempt from the answer to its only send.
pub fn conclusion(answer: Answer) -> Concluded {
    let mut phone = None;
    let mut number_id = None;
    // Danger: release an attempt only for an answer that says "not executed".
    let (outcome, release_cause) = match &answer.verdict {
        Verdict::Accepted(number) => {
            (number_id, phone) = (number.id.clone(), number.phone_number.clone());
            (Outcome::Accepted, None)
        }
        Verdict::Refused(Refusal { kind, .. }) => match kind {
            RefusalKind::Code => (Outcome::Refused, None),
            RefusalKind::Request => (Outcome::RequestRefused, None),
        },
        Verdict::Unknown(_) => (Outcome::Unknown, None),
        Verdict::Throttled { .. } => (Outcome::Throttled, Some(ReleaseCause::Throttled)),
        Verdict::NotSent(_) => (Outcome::NotSent, Some(ReleaseCause::NotSent)),
        Verdict::Blocked(BlockCause::Credentials) => {
            (Outcome::Blocked, Some(ReleaseCause::Credentials))
        }
        Verdict::Blocked(BlockCause::Account) => (Outcome::Blocked, Some(ReleaseCause::Account)),
        Verdict::Blocked(BlockCause::Clock) => (Outcome::Blocked, Some(ReleaseCause::Clock)),
    };
    let own = answer.verdict.own_code().map(str::to_owned);
    let error_code = match outcome {
        Outcome::Accepted => None,
        Outcome::Adopted
        | Outcome::Refused
        | Outcome::RequestRefused
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked
        | Outcome::UnknownFinal
        | Outcome::Unknown => answer.code.or(own),
    };
    Concluded {
        ended: Ended {
            outcome,
            error_code,
            error_message: answer.message.filter(|_| outcome != Outcome::Accepted),
            request_id: answer.request_id,
            id: number_id,
        },
        release_cause,
        phone_number: phone,
    }
}

impl Concluded {
    /// The status update at the end of the attempt. `entry`: its entry in the ledger; `permit`:
    /// what allowed it; `next`: when it is made again, if it was released.
    pub fn fact(
        &self,
        object: &PhoneMigration,
        ledger: &Ledger,
        entry: &LedgerEntry,
        permit: Permit,
        next: Option<Timestamp>,
    ) -> Fact {
        let reply = reply(&self.ended);
        match entry.code_use() {
            CodeUse::Verified => Fact::Result(CamsResult::Verified {
                by: match entry.outcome {
                    Some(Outcome::Adopted) => VerifiedBy::ReadAfter,
                    Some(_) | None => VerifiedBy::Call,
                },
                id: entry.id.clone(),
                phone_number: self.phone_number.clone(),
                request_id: entry.request_id.clone(),
            }),
            CodeUse::Released => Fact::Result(CamsResult::Released {
                release_cause: self.release_cause.unwrap_or(ReleaseCause::NotSent),
                reply,
                next,
            }),
            CodeUse::Open => Fact::Result(CamsResult::Unknown {
                reply,
                until: decisive_read(entry.final_at.0),
            }),
            CodeUse::Spent => {
                let status = object.status.as_ref();
                let limit = permit
                    .raise_to
                    .or(status.map(|status| status.attempt_limit()))
                    .unwrap_or(DEFAULT_ATTEMPT_LIMIT);
                Fact::Result(CamsResult::Spent(decide::conclusion(
                    object, ledger, entry, limit,
                )))
            }
        }
    }
}

/// The reply details of an attempt, for status.
pub fn reply(ended: &Ended) -> ReplyDetails {
    ReplyDetails {
        code: ended.error_code.clone(),
        message: ended.error_message.clone(),
        request_id: ended.request_id.clone(),
    }
}

/// The adoption that follows from the read after a refusal ("already verified" may hide success).
pub fn after_refusal(read: &ReadResult) -> Option<Ended> {
    match read {
        ReadResult::Verified { id, request_id, .. } => {
            Some(adopted(id.clone(), request_id.clone()))
        }
        ReadResult::NotVerified { .. } | ReadResult::Failed(_) | ReadResult::NotMade => None,
    }
}

/// The end of an attempt whose number a read found verified.
pub fn adopted(id: Option<String>, request_id: Option<String>) -> Ended {
    Ended {
        request_id,
        id,
        ..Ended::of(Outcome::Adopted)
    }
}

/// What a read says about one entry; `date` is the reply's own. If another entry is open or
/// verified, VERIFIED says nothing about this one: the date decides.
pub fn about_entry(read: ReadResult, date: Option<Timestamp>, has_rival: bool) -> ReadResult {
    match read {
        ReadResult::Verified { .. } if has_rival => ReadResult::NotVerified { date },
        ReadResult::Verified { .. }
        | ReadResult::NotVerified { .. }
        | ReadResult::Failed(_)
        | ReadResult::NotMade => read,
    }
}

/// The end, known from memory, of an entry that the ledger shows as open: etcd was restored.
pub fn known_end(sent: &[LedgerEntry], attempt_id: &str, has_rival: bool) -> Option<Ended> {
    let known = sent.iter().find(|e| e.attempt_id == attempt_id)?;
    // If there is a rival, do not adopt: a read decides.
    Ended::of_entry(known).filter(|ended| ended.outcome != Outcome::Adopted || !has_rival)
}

/// The end that a read gives an open entry; `None`: it stays open.
///
/// `imported_for`: how long this process has known an entry that came from a status, whose end may
/// be forged. Danger: only the clocks of CAMS and of the operator together prove that a running
/// request is too old; neither alone decides.
pub fn after_observation(
    entry: &LedgerEntry,
    read: &ReadResult,
    imported_for: Option<Duration>,
    validity: Duration,
    now: Timestamp,
) -> Option<Ended> {
    if let ReadResult::Verified { id, request_id, .. } = read {
        return Some(adopted(id.clone(), request_id.clone()));
    }
    let end = entry.final_at.0;
    let by_date = matches!(read, ReadResult::NotVerified { date: Some(date) } if *date > end);
    let waited = imported_for.is_some_and(|known| known > validity + Duration::from_secs(60));
    let ends = (by_date && now > end) || waited;
    ends.then(|| Ended::of(Outcome::UnknownFinal))
}

/// Why an open entry has not ended although it should have; `None`: it is not due yet.
pub fn overdue(entry: &LedgerEntry, read: &ReadResult, now: Timestamp) -> Option<String> {
    let end = entry.final_at.0;
    if now <= end {
        return None;
    }
    match read {
        ReadResult::Failed(error) => Some(error.clone()),
        ReadResult::NotVerified { date: None } => {
            Some("the reply carries no Date, or one that no other reply confirms".to_owned())
        }
        ReadResult::NotVerified { date: Some(date) }
            if *date <= end && now.duration_since(end).as_secs() > 60 =>
        {
            Some("the clock of CAMS is behind the operator's".to_owned())
        }
        ReadResult::NotVerified { .. } | ReadResult::Verified { .. } | ReadResult::NotMade => None,
    }
}
