//! (old status, new status) -> the Event that people see, if any. PURE.
//!
//! One Event per change or result, none for "about to". The recorder aggregates equal Events
//! and keeps the first note, so what varies is in status, not here.

use kube::runtime::events::{Event, EventType};

use crate::crd::PhoneMigrationStatus;
use crate::fact::{Fact, NoCode, Setback, VerifiedBy};
use crate::message::text;
use crate::reason::{Outcome, Reason};

const VERIFY: &str = "VerifyPhoneNumber";
const READ_CODE: &str = "ReadCode";
const SUBMIT: &str = "SubmitCode";

/// The Event for a fact that was written; `None` where status said so before, or where the
/// change is on its way to another.
pub fn event(old: &PhoneMigrationStatus, new: &PhoneMigrationStatus, fact: &Fact) -> Option<Event> {
    let unknown_before = old.reason.as_deref() == Some(Reason::OutcomeUnknown.as_str());
    if shows(old) == shows(new) {
        return None;
    }
    let (type_, reason, action) = match fact {
        Fact::Verified {
            by: VerifiedBy::ReadAfter,
            ..
        } if unknown_before => (EventType::Normal, "OutcomeResolved", VERIFY),
        Fact::Verified { .. } => (EventType::Normal, "MigrationVerified", VERIFY),
        Fact::Refused {
            outcome: Outcome::RequestRefused,
            ..
        } => (EventType::Warning, "RequestRejected", SUBMIT),
        Fact::Refused { .. } => (EventType::Warning, "VerificationRejected", SUBMIT),
        Fact::Unknown { .. } => (EventType::Warning, "OutcomeUnknown", SUBMIT),
        Fact::UnknownFinal => (EventType::Warning, "OutcomeUnknownFinal", VERIFY),
        Fact::UnknownOverdue { .. } => (EventType::Warning, "OutcomeUnreadable", VERIFY),
        Fact::NoCode(NoCode::SecretNotFound | NoCode::KeyNotFound) => {
            (EventType::Normal, "CodeUnavailable", READ_CODE)
        }
        Fact::NoCode(NoCode::NotDigits | NoCode::ExpiryNotATime | NoCode::Expired) => {
            (EventType::Warning, "CodeUnusable", READ_CODE)
        }
        Fact::Released { setback, .. } | Fact::HeldBack { setback, .. } => match setback {
            Setback::Throttled => (EventType::Warning, "AccountThrottled", SUBMIT),
            Setback::NotSent => return None,
            Setback::Credentials | Setback::Account | Setback::Clock => {
                (EventType::Warning, "AccountHeldBack", SUBMIT)
            }
        },
        Fact::Duplicate { .. } => (EventType::Warning, "DuplicatePhoneNumber", SUBMIT),
        Fact::Exhausted => (EventType::Warning, "AttemptsExhausted", SUBMIT),
        Fact::TookOver(_) => (EventType::Warning, "SpentCodeRecognised", SUBMIT),
        Fact::Suspended => (EventType::Normal, "Suspended", SUBMIT),
        Fact::Seen
        | Fact::Queued(_)
        | Fact::Claimed(_)
        | Fact::Concluded { .. }
        | Fact::LimitRaised
        | Fact::Refingerprinted(_) => return None,
    };
    Some(note(type_, reason, action, text(new, fact)))
}

/// What a person sees of a state: one Event for each change of it.
fn shows(status: &PhoneMigrationStatus) -> (Option<&str>, Vec<(&str, &str)>) {
    let conditions = status.conditions.iter();
    (
        status.reason.as_deref(),
        conditions.map(|c| (&*c.type_, &*c.status)).collect(),
    )
}

/// The Event for an outcome whose resource is gone.
pub fn orphaned(outcome: &str) -> Event {
    note(
        EventType::Warning,
        "OutcomeWithoutResource",
        SUBMIT,
        format!("The PhoneMigration was deleted during its attempt, which ended: {outcome}"),
    )
}

/// The Event for a look before the first attempt that could not be had.
pub fn look_failed(why: &str) -> Event {
    note(
        EventType::Warning,
        "StatusUnreadable",
        VERIFY,
        format!(
            "The number's verification status could not be read before the attempt ({why}); the attempt goes on"
        ),
    )
}

fn note(type_: EventType, reason: &str, action: &str, text: String) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(text.chars().take(1000).collect()),
        action: action.to_owned(),
        secondary: None,
    }
}
