//! What is decided between the requests of an attempt: whether a claim is ours, whether the gate
//! opens, and what an answer makes of the attempt. PURE.
//!
//! The steps around it only carry these decisions out, so that a model can run the real ones.

use std::time::Duration;

use crate::cams::{Answer, BlockCause, NotSentCause, Refusal, RefusalKind, Verdict};
use crate::clock::Now;
use crate::code::Code;
use crate::crd::PhoneMigration;
use crate::fact::{Claim, Fact, Setback, Told, VerifiedBy};
use crate::reads::{ReadResult, final_at};
use crate::reason::Outcome;
use crate::record::{Owned, owned_attempt};
use crate::spent::SpentCodes;
use crate::status::codes_spent;

/// Oldest signature that is still sent, by both clocks. Danger: raising it widens the window in
/// which a process that was stopped after its claim may still send.
const FRESH: Duration = Duration::from_secs(10);

/// Less than 10 s old by the boot clock and by the wall clock; a step of either is not fresh.
fn is_fresh(signed: Now, now: Now) -> bool {
    let by_wall = now.wall.duration_since(signed.wall);
    now.boot.saturating_sub(signed.boot) < FRESH
        && !by_wall.is_negative()
        && by_wall.unsigned_abs() < FRESH
}

/// Whether the number's status is read before this attempt although nothing probes the account:
/// nothing was spent on the number yet, so somebody else may have verified it.
pub fn looks_first(object: &PhoneMigration) -> bool {
    let spent = object.status.as_ref().map_or(0, codes_spent);
    spent == 0 && object.spec.adopt_if_verified
}

/// The claim of the attempt that was just signed.
pub fn claim(number: i32, id: &str, signed: Now, code: &Code) -> Fact {
    Fact::Claimed(Claim {
        number,
        id: id.to_owned(),
        signed_at: signed.wall,
        secret: code.secret.clone(),
        code_fingerprint: code.fingerprint.clone(),
    })
}

/// After a conflict or a lost reply of the claim's write: whether `live` carries the claim, and
/// its signature is young.
pub fn recognises(live: &PhoneMigration, owned: &Owned, signed: Now, now: Now) -> bool {
    owned_attempt(live, owned).is_some() && is_fresh(signed, now)
}

/// An attempt before its gate.
pub struct AtGate<'a> {
    /// Whose attempt.
    pub owned: &'a Owned,
    /// The phone number.
    pub number: &'a str,
    /// What it is about to send.
    pub code: &'a Code,
    /// When it was signed.
    pub signed: Now,
    /// How long the service accepts a signature.
    pub validity: Duration,
}

/// The last decision before the bytes leave; enters the code into `spent`.
///
/// # Errors
/// Why nothing is sent.
pub fn open_gate(
    at: &AtGate<'_>,
    may_act: bool,
    spent: &SpentCodes,
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
    let final_at = final_at(at.signed.wall, at.validity);
    let (fingerprint, id) = (&at.code.fingerprint, &at.owned.attempt_id);
    if !spent.begin(fingerprint, at.number, id, now.wall, final_at) {
        return Err("another attempt has this code");
    }
    Ok(())
}

/// What an answer to the only send makes of the attempt, and what the API told. A release says
/// nothing yet about when the account is tried again.
pub fn conclusion(answer: Answer, signed: Now, validity: Duration) -> (Fact, Told) {
    let told = Told {
        code: answer.code.or_else(|| own_word(&answer.verdict)),
        message: answer.message,
        request_id: answer.request_id,
    };
    // Danger: an attempt is released only for an answer that says "not executed".
    let released = |setback| Fact::Released {
        setback,
        told: told.clone(),
        next: None,
    };
    let fact = match answer.verdict {
        Verdict::Accepted { id, phone_number } => Fact::Verified {
            by: VerifiedBy::Call,
            id,
            phone_number,
            request_id: told.request_id.clone(),
        },
        Verdict::Refused(Refusal { kind, .. }) => Fact::Refused {
            outcome: match kind {
                RefusalKind::Code => Outcome::Refused,
                RefusalKind::Request => Outcome::RequestRefused,
            },
            told: told.clone(),
        },
        Verdict::Unknown(_) => Fact::Unknown {
            told: told.clone(),
            until: final_at(signed.wall, validity) + Duration::from_secs(1),
        },
        Verdict::Throttled { .. } => released(Setback::Throttled),
        Verdict::NotSent(_) => released(Setback::NotSent),
        Verdict::Blocked(BlockCause::Credentials) => released(Setback::Credentials),
        Verdict::Blocked(BlockCause::Account) => released(Setback::Account),
        Verdict::Blocked(BlockCause::Clock) => released(Setback::Clock),
    };
    (fact, told)
}

/// What memory keeps of a code whose attempt ended as `fact` says.
pub fn remember(spent: &SpentCodes, code: &Code, attempt_id: &str, fact: &Fact, told: &Told) {
    match fact.outcome() {
        Some(
            outcome @ (Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Refused
            | Outcome::RequestRefused
            | Outcome::UnknownFinal
            | Outcome::Unknown),
        ) => spent.end(attempt_id, outcome, told),
        Some(Outcome::Throttled | Outcome::NotSent | Outcome::Blocked) => {
            spent.release(&code.fingerprint, attempt_id);
        }
        None => {}
    }
}

/// A refusal may hide success ("already verified"): what the read before it is recorded says.
pub fn after_refusal(refusal: Fact, read: &ReadResult, request_id: Option<String>) -> Fact {
    match read {
        ReadResult::Verified {
            id, phone_number, ..
        } => Fact::Verified {
            by: VerifiedBy::ReadAfter,
            id: id.clone(),
            phone_number: phone_number.clone(),
            request_id,
        },
        ReadResult::NotVerified { .. } | ReadResult::Failed(_) | ReadResult::NotMade => refusal,
    }
}

/// The release of a claim that surfaced although this process never sent it.
pub fn never_sent() -> Fact {
    let told = Told {
        code: Some("NotSent".into()),
        ..Told::default()
    };
    Fact::Released {
        setback: Setback::NotSent,
        told,
        next: None,
    }
}

/// Our word for an answer that carries no Code.
fn own_word(verdict: &Verdict) -> Option<String> {
    let word = match verdict {
        Verdict::Unknown(cause) => format!("{cause:?}"),
        Verdict::NotSent(NotSentCause::Gate) => "NotSent".to_owned(),
        Verdict::NotSent(cause) => format!("NotSent.{cause:?}"),
        Verdict::Throttled { .. } => "Throttled".to_owned(),
        Verdict::Accepted { .. } | Verdict::Refused(_) | Verdict::Blocked(_) => return None,
    };
    Some(word)
}
