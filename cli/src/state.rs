//! The meaning of a PhoneMigration's status for a user: who must act next, and how. PURE.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use phone_migration_api::crd::{PhoneMigration, PhoneMigrationStatus, REQUESTED_AT, condition};
use phone_migration_api::reason::Reason;

use crate::cluster::Key;
use crate::exit::Exit;
use crate::text::clean;

/// Who must act next for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    /// Done.
    Verified,
    /// The operator continues by itself.
    Operator,
    /// The operator waits for a code from a user.
    Desk,
    /// A user must act.
    Person,
}

/// The state as a word; `None` before the operator's first reconcile, or from a later version.
pub fn reason(object: &PhoneMigration) -> Option<Reason> {
    object.status.as_ref()?.reason()
}

/// The state as a word for people.
pub fn word(object: &PhoneMigration) -> String {
    let status = object.status.as_ref();
    match status.and_then(|status| status.reason.as_deref()) {
        Some(word) => clean(word),
        None => "Unseen".to_owned(),
    }
}

fn condition_of<'a>(object: &'a PhoneMigration, type_: &str) -> Option<&'a Condition> {
    let status = object.status.as_ref()?;
    status.conditions.iter().find(|c| c.type_ == type_)
}

/// The message of the Ready condition.
pub fn message(object: &PhoneMigration) -> String {
    let ready = condition_of(object, condition::READY);
    ready.map(|ready| clean(&ready.message)).unwrap_or_default()
}

/// Whether a person must act, as the operator says.
pub fn is_stalled(object: &PhoneMigration) -> bool {
    condition_of(object, condition::STALLED).is_some_and(|c| c.status == "True")
}

/// Since when the state holds: the newest change of its conditions.
pub fn since(object: &PhoneMigration) -> Option<Timestamp> {
    let conditions = &object.status.as_ref()?.conditions;
    let times = conditions.iter().map(|c| c.last_transition_time.0);
    times.max()
}

/// Whether the operator has not yet acted upon something that changed.
pub fn is_unseen(object: &PhoneMigration) -> bool {
    let Some(status) = object.status.as_ref() else {
        return true;
    };
    let observed = status.observed_generation.unwrap_or(-1);
    let generation = object.metadata.generation.unwrap_or(0);
    observed < generation || unanswered_request(object, status).is_some()
}

/// The value of the annotation requestedAt that the operator did not act upon yet.
fn unanswered_request<'a>(
    object: &'a PhoneMigration,
    status: &PhoneMigrationStatus,
) -> Option<&'a str> {
    let asked = object.metadata.annotations.as_ref()?.get(REQUESTED_AT)?;
    // Status keeps so many characters of it.
    let kept: String = asked.chars().take(128).collect();
    (status.last_handled_reconcile_at.as_deref() != Some(kept.as_str())).then_some(asked.as_str())
}

/// When a hand-in or an annotation asked for a reconcile, if the value is a time.
pub fn requested_at(object: &PhoneMigration) -> Option<Timestamp> {
    let asked = object.metadata.annotations.as_ref()?.get(REQUESTED_AT)?;
    let time = match asked.split_once('Z') {
        Some((time, _)) => format!("{time}Z"),
        None => asked.clone(),
    };
    time.parse().ok()
}

/// Who must act next.
pub fn hands(object: &PhoneMigration) -> Hands {
    let Some(reason) = reason(object) else {
        return Hands::Operator;
    };
    match reason {
        Reason::Verified => Hands::Verified,
        _ if is_unseen(object) => Hands::Operator,
        _ => settled_hands(reason, is_stalled(object)),
    }
}

fn settled_hands(reason: Reason, stalled: bool) -> Hands {
    match reason {
        Reason::Verified => Hands::Verified,
        Reason::SecretNotFound | Reason::KeyNotFound => Hands::Desk,
        Reason::Suspended | Reason::SecretForbidden => Hands::Person,
        Reason::Queued | Reason::Throttled => Hands::Operator,
        Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::CodeRejected
        | Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::CredentialsInvalid
        | Reason::AccountError
        | Reason::ClockSkew
        | Reason::OutcomeUnknown
        | Reason::LedgerUnreadable
        | Reason::CodeUnknown
        | Reason::DuplicatePhoneNumber => match stalled {
            true => Hands::Person,
            false => Hands::Operator,
        },
    }
}

/// Whether the resource waits for another code.
pub fn wants_a_code(object: &PhoneMigration) -> bool {
    let Some(reason) = reason(object) else {
        return false;
    };
    match reason {
        Reason::SecretNotFound
        | Reason::KeyNotFound
        | Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::CodeRejected => true,
        // Final: its code counts as spent.
        Reason::OutcomeUnknown => is_stalled(object),
        Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::CredentialsInvalid
        | Reason::AccountError
        | Reason::ClockSkew
        | Reason::Queued
        | Reason::Throttled
        | Reason::Suspended
        | Reason::Verified
        | Reason::LedgerUnreadable
        | Reason::CodeUnknown
        | Reason::SecretForbidden
        | Reason::DuplicatePhoneNumber => false,
    }
}

/// What to do, in a few words; empty where there is nothing to do.
pub fn advice(reason: Reason, key: &Key) -> String {
    let Key { namespace, name } = key;
    let code = format!("kubectl phmig code {name} -n {namespace}");
    match reason {
        Reason::SecretNotFound | Reason::KeyNotFound => code,
        Reason::InvalidCode => format!("the code as received: {code}"),
        Reason::CodeExpired | Reason::CodeRejected => format!("new code: {code}"),
        Reason::OutcomeUnknown => {
            format!("check the number in the console, then a new code: {code}")
        }
        Reason::RequestRejected => {
            format!("check custSpaceId and that the migration was initiated; then: {code}")
        }
        Reason::AttemptsExhausted => {
            format!("find the cause; new code; then: kubectl phmig retry {name} -n {namespace}")
        }
        Reason::CodeUnknown => {
            format!("if the code is new: kubectl phmig retry {name} -n {namespace}")
        }
        Reason::SecretForbidden => {
            format!("let the operator get Secrets in {namespace}: the message names the binding")
        }
        Reason::CredentialsInvalid => "repair the operator's AccessKey".to_owned(),
        Reason::AccountError => "check the RAM policy and the account".to_owned(),
        Reason::ClockSkew => "correct the clock of the operator's node".to_owned(),
        Reason::LedgerUnreadable => "an administrator looks at the CodeLedger".to_owned(),
        Reason::DuplicatePhoneNumber => "delete one of the two resources".to_owned(),
        Reason::Suspended => "set spec.suspend to false".to_owned(),
        Reason::Queued | Reason::Throttled | Reason::Verified => String::new(),
    }
}

/// The exit code of a command that waited for a resource and found it in this state, at rest;
/// `None` while the operator continues by itself.
pub fn exit(reason: Reason) -> Option<Exit> {
    Some(match reason {
        Reason::Verified => Exit::Done,
        Reason::Queued | Reason::Throttled => return None,
        Reason::CodeRejected => Exit::Refused,
        Reason::OutcomeUnknown => Exit::Unknown,
        Reason::CredentialsInvalid | Reason::AccountError | Reason::ClockSkew => Exit::Account,
        Reason::SecretNotFound
        | Reason::SecretForbidden
        | Reason::KeyNotFound
        | Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::LedgerUnreadable
        | Reason::CodeUnknown
        | Reason::DuplicatePhoneNumber
        | Reason::Suspended => Exit::Person,
    })
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    /// A PhoneMigration with this status.
    pub fn object(name: &str, status: Value) -> PhoneMigration {
        serde_json::from_value(json!({
            "apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
            "metadata": {"name": name, "namespace": "tenant-a", "uid": name, "generation": 1},
            "spec": {"custSpaceId": "1", "phoneNumber": "8613800001234",
                "verifyCodeSecretRef": {"name": format!("{name}-code")}},
            "status": status,
        }))
        .unwrap()
    }

    /// In this state, at rest.
    pub fn in_state(name: &str, reason: Reason, stalled: bool) -> PhoneMigration {
        let condition = |type_: &str, holds: bool| {
            json!({"type": type_, "status": if holds { "True" } else { "False" },
                "reason": reason.as_str(), "message": "as it is",
                "lastTransitionTime": "2026-01-31T12:00:00Z"})
        };
        let ready = reason == Reason::Verified;
        object(
            name,
            json!({"observedGeneration": 1, "reason": reason.as_str(),
                "conditions": [condition("Ready", ready), condition("Stalled", stalled)]}),
        )
    }

    #[test]
    fn an_unanswered_request_leaves_it_with_the_operator() {
        let mut waiting = in_state("a", Reason::SecretNotFound, false);
        assert_eq!(hands(&waiting), Hands::Desk);
        let asked = [(REQUESTED_AT.to_owned(), "now".to_owned())];
        waiting.metadata.annotations = Some(asked.into());
        assert_eq!(hands(&waiting), Hands::Operator);
        waiting.status.as_mut().unwrap().last_handled_reconcile_at = Some("now".into());
        assert_eq!(hands(&waiting), Hands::Desk);
    }

    #[test]
    fn what_nobody_has_visited_is_the_operators() {
        let new = object("a", json!({"observedGeneration": -1}));
        assert_eq!(hands(&new), Hands::Operator);
        assert_eq!(word(&new), "Unseen");
    }

    #[test]
    fn whoever_must_act_is_told_how() {
        let key = Key {
            namespace: "n".into(),
            name: "x".into(),
        };
        for reason in Reason::ALL {
            let at_rest = exit(*reason).is_some_and(|exit| exit != Exit::Done);
            assert_eq!(!advice(*reason, &key).is_empty(), at_rest, "{reason:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_wants_a_code_only_when_it_is_final() {
        assert!(!wants_a_code(&in_state("a", Reason::OutcomeUnknown, false)));
        assert!(wants_a_code(&in_state("a", Reason::OutcomeUnknown, true)));
    }
}
