//! Reason and conditions: how a state is shown to people, kubectl and GitOps tools. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::fit::shorten;
use super::tally::{attempt_limit, codes_spent, concluded};
use super::{Look, whole};
use crate::crd::{MAX_MESSAGE, PhoneMigrationStatus, condition};
use crate::fact::{Fact, NoCode, Setback};
use crate::message;
use crate::reason::{Kstatus, Outcome, Reason};

/// How a state is shown: reason, kstatus class, whether it is finished, message.
pub(super) struct Shown {
    reason: Reason,
    kstatus: Kstatus,
    finished: bool,
    message: String,
}

pub(super) fn shown(new: &PhoneMigrationStatus, fact: &Fact) -> Option<Shown> {
    let shown = |reason, kstatus, finished| {
        Some(Shown {
            reason,
            kstatus,
            finished,
            message: message::text(new, fact),
        })
    };
    let in_progress = |reason| shown(reason, Kstatus::InProgress, false);
    let stalled = |reason, finished| shown(reason, Kstatus::Failed, finished);
    match fact {
        Fact::Seen | Fact::Refingerprinted(_) => None,
        Fact::NoCode(NoCode::SecretNotFound) => in_progress(Reason::SecretNotFound),
        Fact::NoCode(NoCode::KeyNotFound) => in_progress(Reason::KeyNotFound),
        Fact::NoCode(NoCode::NotDigits | NoCode::ExpiryNotATime) => {
            stalled(Reason::InvalidCode, false)
        }
        Fact::NoCode(NoCode::Expired) => stalled(Reason::CodeExpired, false),
        Fact::Queued(_) => in_progress(Reason::Queued),
        Fact::Duplicate { .. } => stalled(Reason::DuplicatePhoneNumber, false),
        Fact::Suspended => shown(Reason::Suspended, Kstatus::Paused, false),
        Fact::Claimed(_) => in_progress(Reason::Verifying),
        Fact::Released { setback, .. } | Fact::HeldBack { setback, .. } => match setback {
            Setback::Throttled | Setback::NotSent => in_progress(setback.reason()),
            Setback::Credentials | Setback::Account | Setback::Clock => {
                stalled(setback.reason(), false)
            }
        },
        Fact::Verified { .. } => shown(Reason::Verified, Kstatus::Current, true),
        Fact::Unknown { .. } => in_progress(Reason::OutcomeUnknown),
        Fact::UnknownFinal => stalled(Reason::OutcomeUnknown, true),
        Fact::UnknownOverdue { .. } => stalled(Reason::OutcomeUnknown, false),
        Fact::Exhausted => stalled(Reason::AttemptsExhausted, true),
        Fact::Refused { .. } | Fact::Concluded { .. } | Fact::LimitRaised | Fact::TookOver(_) => {
            concluded(new).and_then(|outcome| {
                let reason = conclusion(new, outcome);
                if reason == Reason::Verified {
                    shown(reason, Kstatus::Current, true)
                } else {
                    stalled(reason, true)
                }
            })
        }
    }
}

/// The reason that a concluded attempt shows.
fn conclusion(status: &PhoneMigrationStatus, outcome: Outcome) -> Reason {
    let exhausted = codes_spent(status) >= attempt_limit(status);
    match outcome {
        Outcome::Refused | Outcome::RequestRefused if exhausted => Reason::AttemptsExhausted,
        Outcome::Refused => Reason::CodeRejected,
        Outcome::RequestRefused => Reason::RequestRejected,
        Outcome::Accepted | Outcome::Adopted => Reason::Verified,
        Outcome::UnknownFinal
        | Outcome::Unknown
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked => Reason::OutcomeUnknown,
    }
}

pub(super) fn show(new: &mut PhoneMigrationStatus, shown: &Shown, look: &Look) {
    new.reason = Some(shown.reason.as_str().to_owned());
    let (ready, reconciling, stalled) = match shown.kstatus {
        Kstatus::Current => (true, false, false),
        Kstatus::InProgress => (false, true, false),
        Kstatus::Failed => (false, false, true),
        Kstatus::Paused => (false, false, false),
    };
    let mut message = shown.message.clone();
    shorten(&mut message, MAX_MESSAGE);
    let conditions = [
        (condition::READY, ready),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
        (condition::FINISHED, shown.finished),
    ]
    .map(|(type_, holds)| {
        let status = if holds { "True" } else { "False" }.to_owned();
        let since = new
            .conditions
            .iter()
            .find(|old| old.type_ == type_ && old.status == status)
            .map_or_else(|| whole(look.now), |old| old.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status,
            reason: shown.reason.as_str().to_owned(),
            message: message.clone(),
            observed_generation: Some(look.generation),
            last_transition_time: since,
        }
    });
    new.conditions = conditions.into();
}

pub(super) fn restamp(new: &mut PhoneMigrationStatus, generation: i64) {
    for condition in &mut new.conditions {
        condition.observed_generation = Some(generation);
    }
}
