//! Messages of the conditions: what it means and what to do. PURE.
//!
//! They are stable: no request ids, no moving times (a time that stays while the state stays is
//! fine), so that a state which persists causes no writes.

use crate::crd::PhoneMigrationStatus;
use crate::fact::{Fact, HoldCause, NoCode, QueuedFor, Setback, VerifiedBy};
use crate::reason::Outcome;
use crate::status::{attempt_limit, codes_spent, concluded};

/// The message for a fact; `status` already carries the fact's fields.
pub fn text(status: &PhoneMigrationStatus, fact: &Fact) -> String {
    let code = status.error_code.as_deref().unwrap_or("no code");
    match fact {
        Fact::Seen | Fact::Refingerprinted(_) => String::new(),
        Fact::NoCode(cause) => no_code(*cause).to_owned(),
        Fact::Queued(cause) => queued(*cause).to_owned(),
        Fact::Duplicate { owner } => match owner {
            Some(name) => format!(
                "PhoneMigration {name} of this namespace owns this phone number: delete one of the two"
            ),
            None => "A PhoneMigration in another namespace owns this phone number: it must be deleted first".to_owned(),
        },
        Fact::Suspended => "spec.suspend is true: no new attempt is made".to_owned(),
        Fact::Claimed(_) => "The code is being submitted".to_owned(),
        Fact::Released { setback, .. } | Fact::HeldBack { setback, .. } => {
            held_back(*setback, code)
        }
        Fact::Verified { by, id, .. } => verified(*by, id.is_some() || status.id.is_some()),
        Fact::Unknown { .. } => unknown(status),
        Fact::UnknownFinal => unknown_final().to_owned(),
        Fact::UnknownOverdue { read_error } => format!(
            "The request may have been executed, and the number's status cannot be read ({read_error}). \
             Reads go on; check the number in the CAMS console before using another code"
        ),
        Fact::Exhausted => exhausted(status),
        Fact::Refused { .. } | Fact::LimitRaised | Fact::TookOver(_) => conclusion(status, code),
        Fact::Concluded { ambiguous: false } => conclusion(status, code),
        Fact::Concluded { ambiguous: true } => format!(
            "{}. It cannot be told whether the code in the Secret was spent before (the fingerprint \
             key changed): if it is a new code, change spec.retryToken to submit it",
            conclusion(status, code)
        ),
    }
}

fn no_code(cause: NoCode) -> &'static str {
    match cause {
        NoCode::SecretNotFound => {
            "The Secret named by spec.verifyCodeSecretRef does not exist yet: create it in this namespace"
        }
        NoCode::KeyNotFound => {
            "The Secret does not have the key named by spec.verifyCodeSecretRef.key: add it"
        }
        NoCode::NotDigits => {
            "The value in the Secret is not a code of 4 to 8 digits; nothing was sent: put the code as received into the Secret"
        }
        NoCode::ExpiryNotATime => {
            "The value under spec.verifyCodeSecretRef.expiresAtKey is not an RFC 3339 time such as 2026-01-31T12:00:00Z; nothing was sent: correct or remove it"
        }
        NoCode::Expired => {
            "The code expired before it could be sent: request a new code and put it into the Secret"
        }
    }
}

fn queued(cause: QueuedFor) -> &'static str {
    match cause {
        QueuedFor::Turn => "Waiting for its turn in the account's quota",
        QueuedFor::OtherAttempt => {
            "Another attempt for this number, by a resource that was deleted or restored, is not finished yet: waiting for its outcome"
        }
        QueuedFor::Hold(HoldCause::Credentials) => {
            "Waiting: CAMS refuses the operator's credentials"
        }
        QueuedFor::Hold(HoldCause::Clock) => {
            "Waiting: the operator's clock and the clock of CAMS differ"
        }
        QueuedFor::Hold(HoldCause::Account) => "Waiting: CAMS refuses the account",
        QueuedFor::Hold(HoldCause::Transport) => "Waiting: CAMS cannot be reached",
    }
}

fn held_back(setback: Setback, code: &str) -> String {
    match setback {
        Setback::Throttled => format!(
            "CAMS throttled the account ({code}); the code was not spent, and the attempt is repeated"
        ),
        Setback::NotSent => format!(
            "The request could not be sent ({code}); the code was not spent, and the attempt is repeated"
        ),
        Setback::Credentials => format!(
            "CAMS refuses the operator's credentials ({code}); the code was not spent. Correct the \
             AccessKey of the operator; it goes on by itself"
        ),
        Setback::Account => format!(
            "CAMS refuses the account ({code}); the code was not spent. Check the RAM policy and the \
             subscription of the account; the operator goes on by itself"
        ),
        Setback::Clock => format!(
            "The clock of the operator's node and the clock of CAMS differ too much ({code}); the code \
             was not spent. Correct the node's clock; the operator goes on by itself"
        ),
    }
}

fn verified(by: VerifiedBy, has_id: bool) -> String {
    let how = match by {
        VerifiedBy::Call => "CAMS accepted the code",
        VerifiedBy::ReadBefore => "The number was already verified; no code was spent",
        VerifiedBy::ReadAfter => {
            "The number's status says verified (adopted; the verification may be an earlier one)"
        }
    };
    if has_id {
        how.to_owned()
    } else {
        format!("{how}; its Id was not returned and is being read")
    }
}

fn unknown(status: &PhoneMigrationStatus) -> String {
    let until = status
        .next_attempt_at
        .as_ref()
        .map_or_else(|| "later".to_owned(), |at| at.0.to_string());
    format!(
        "The request may have been executed; its reply is lost. The number's status is read until \
         {until}; until then no code is submitted, whatever changes"
    )
}

fn unknown_final() -> &'static str {
    "The request may have been executed, but the number is not verified: the code is regarded as \
     spent. Request a new code and put it into the Secret"
}

fn exhausted(status: &PhoneMigrationStatus) -> String {
    let (spent, limit) = (codes_spent(status), attempt_limit(status));
    if limit >= crate::crd::MAX_ATTEMPTS {
        format!("{spent} codes were spent, and no more are allowed for this number")
    } else {
        format!(
            "{spent} codes were spent: repeated wrong codes can lock a number. Find the cause, put a \
             new code into the Secret, then change spec.retryToken to allow more"
        )
    }
}

fn conclusion(status: &PhoneMigrationStatus, code: &str) -> String {
    match concluded(status) {
        Some(Outcome::Refused | Outcome::RequestRefused)
            if codes_spent(status) >= attempt_limit(status) =>
        {
            format!("CAMS refused ({code}). {}", exhausted(status))
        }
        Some(Outcome::Refused) => {
            format!("CAMS refused the code ({code}): request a new code and put it into the Secret")
        }
        Some(Outcome::RequestRefused) => format!(
            "CAMS refused the request ({code}): check custSpaceId, phoneNumber and that the number's \
             migration was initiated, then put a new code into the Secret"
        ),
        Some(Outcome::Accepted) => verified(VerifiedBy::Call, status.id.is_some()),
        Some(Outcome::Adopted) => verified(VerifiedBy::ReadAfter, status.id.is_some()),
        Some(Outcome::UnknownFinal) => unknown_final().to_owned(),
        Some(Outcome::Unknown | Outcome::Throttled | Outcome::NotSent | Outcome::Blocked)
        | None => "The last attempt is not concluded".to_owned(),
    }
}
