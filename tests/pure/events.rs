//! One Event per change, with the reasons and actions that the manual names.

use kube::runtime::events::EventType;
use phone_migration_operator::crd::PhoneMigrationStatus;
use phone_migration_operator::events::{event, look_failed, orphaned};
use phone_migration_operator::fact::Fact;
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::status::{Look, apply};
use proptest::prelude::*;

use super::arbitrary::*;
use super::status_table::every_state;
use super::world::*;

/// Type, reason and action of everything that is ever published.
const DOCUMENTED: &[(&str, &str, &str)] = &[
    ("Normal", "MigrationVerified", "VerifyPhoneNumber"),
    ("Normal", "OutcomeResolved", "VerifyPhoneNumber"),
    ("Warning", "VerificationRejected", "SubmitCode"),
    ("Warning", "RequestRejected", "SubmitCode"),
    ("Warning", "OutcomeUnknown", "SubmitCode"),
    ("Warning", "OutcomeUnknownFinal", "VerifyPhoneNumber"),
    ("Warning", "OutcomeUnreadable", "VerifyPhoneNumber"),
    ("Normal", "CodeUnavailable", "ReadCode"),
    ("Warning", "CodeUnusable", "ReadCode"),
    ("Warning", "AccountThrottled", "SubmitCode"),
    ("Warning", "AccountHeldBack", "SubmitCode"),
    ("Warning", "DuplicatePhoneNumber", "SubmitCode"),
    ("Warning", "AttemptsExhausted", "SubmitCode"),
    ("Warning", "SpentCodeRecognised", "SubmitCode"),
    ("Normal", "Suspended", "SubmitCode"),
];

fn look(seconds: u64) -> Look {
    Look {
        generation: 1,
        now: later(seconds),
        retry_token: None,
        requested_at: None,
    }
}

fn word(type_: &EventType) -> &'static str {
    match type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

fn reason_of(old: &PhoneMigrationStatus, fact: &Fact) -> Option<String> {
    event(old, &apply(old, fact, &look(0)), fact).map(|e| e.reason)
}

#[test]
fn each_change_has_its_event_and_what_is_about_to_happen_has_none() {
    for (fact, state, ..) in every_state() {
        let old = match fact.outcome() {
            Some(_) => tried("Verifying", 1, &code("111111"), None)
                .status()
                .clone(),
            None => PhoneMigrationStatus::default(),
        };
        let expected = match (state, &fact) {
            ("SecretNotFound" | "KeyNotFound", _) => Some("CodeUnavailable"),
            ("InvalidCode" | "CodeExpired", _) => Some("CodeUnusable"),
            ("Queued" | "Verifying", _) => None,
            ("Verified", _) => Some("MigrationVerified"),
            ("CodeRejected", _) => Some("VerificationRejected"),
            ("RequestRejected", _) => Some("RequestRejected"),
            ("CredentialsInvalid" | "AccountError" | "ClockSkew", _) => Some("AccountHeldBack"),
            ("Throttled", _) => Some("AccountThrottled"),
            ("OutcomeUnknown", Fact::Unknown { .. }) => Some("OutcomeUnknown"),
            ("OutcomeUnknown", Fact::UnknownFinal) => Some("OutcomeUnknownFinal"),
            ("OutcomeUnknown", _) => Some("OutcomeUnreadable"),
            (same, _) => Some(same),
        };
        assert_eq!(reason_of(&old, &fact).as_deref(), expected, "{fact:?}");
        // Once: the same fact an hour later is no change.
        let new = apply(&old, &fact, &look(0));
        let again = apply(&new, &fact, &look(3600));
        assert_eq!(
            event(&new, &again, &fact).map(|e| e.reason),
            None,
            "{fact:?}"
        );
    }
}

#[test]
fn an_unknown_outcome_is_followed_to_its_end() {
    let open = tried("Verifying", 1, &code("111111"), None);
    let unknown = Fact::Unknown {
        told: super::status_table::told(),
        until: later(9),
    };
    let provisional = apply(open.status(), &unknown, &look(0));
    let overdue = Fact::UnknownOverdue {
        read_error: "Timeout".into(),
    };
    assert_eq!(
        reason_of(&provisional, &overdue).as_deref(),
        Some("OutcomeUnreadable")
    );
    let stalled = apply(&provisional, &overdue, &look(0));
    let other_error = Fact::UnknownOverdue {
        read_error: "NotSent.Dns".into(),
    };
    assert_eq!(reason_of(&stalled, &other_error), None, "still unreadable");
    assert_eq!(
        reason_of(&stalled, &Fact::UnknownFinal).as_deref(),
        Some("OutcomeUnknownFinal")
    );
    let found = spent("OutcomeUnknown", &[&code("111111")], Outcome::UnknownFinal);
    let verified = Fact::Verified {
        by: phone_migration_operator::fact::VerifiedBy::ReadAfter,
        id: Some("828".into()),
        phone_number: None,
        request_id: None,
    };
    assert_eq!(
        reason_of(found.status(), &verified).as_deref(),
        Some("OutcomeResolved")
    );
}

#[test]
fn what_has_no_state_of_its_own_is_said_within_bounds() {
    for event in [orphaned(&"x".repeat(5000)), look_failed(&"é".repeat(5000))] {
        assert!(event.note.unwrap().chars().count() <= 1000);
        assert!(matches!(event.type_, EventType::Warning));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_documented_and_short(old in a_status(), fact in a_fact()) {
        let new = apply(&old, &fact, &look(0));
        if let Some(event) = event(&old, &new, &fact) {
            let tuple = (word(&event.type_), event.reason.as_str(), event.action.as_str());
            prop_assert!(DOCUMENTED.contains(&tuple), "{:?}", tuple);
            prop_assert!(event.note.unwrap().chars().count() <= 1000);
            prop_assert!(new != old);
        }
    }
}
