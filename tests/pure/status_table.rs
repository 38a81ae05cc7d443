//! What each fact makes of a status: reason, conditions, fields, messages.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::crd::PhoneMigrationStatus;
use phone_migration_operator::fact::{
    Claim, Fact, HoldCause, NoCode, QueuedFor, Setback, Told, VerifiedBy,
};
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::status::{Look, apply};

use super::world::*;

pub fn told() -> Told {
    Told {
        code: Some("Some.Code".into()),
        message: Some("words".into()),
        request_id: Some("REQ-9".into()),
    }
}

pub fn verified(by: VerifiedBy) -> Fact {
    Fact::Verified {
        by,
        id: Some("828".into()),
        phone_number: Some("861380000****".into()),
        request_id: Some("REQ-9".into()),
    }
}

pub fn refused(outcome: Outcome) -> Fact {
    Fact::Refused {
        outcome,
        told: told(),
    }
}

pub fn look() -> Look {
    Look {
        generation: 3,
        now: now(),
        retry_token: Some("t".into()),
        requested_at: Some("r".into()),
    }
}

/// Ready, Reconciling, Stalled, Finished.
fn conditions(status: &PhoneMigrationStatus) -> Vec<(&str, &str)> {
    let conditions = status.conditions.iter();
    conditions
        .map(|c| (c.type_.as_str(), c.status.as_str()))
        .collect()
}

fn expected(kind: &str, finished: bool) -> Vec<(&'static str, &'static str)> {
    let word = |holds| if holds { "True" } else { "False" };
    vec![
        ("Ready", word(kind == "Current")),
        ("Reconciling", word(kind == "InProgress")),
        ("Stalled", word(kind == "Stalled")),
        ("Finished", word(finished)),
    ]
}

pub fn every_state() -> Vec<(Fact, &'static str, &'static str, bool)> {
    let next = Some(later(5));
    let set_back = |setback| Fact::HeldBack {
        setback,
        told: told(),
        next,
    };
    let released = |setback| Fact::Released {
        setback,
        told: told(),
        next,
    };
    vec![
        (
            Fact::NoCode(NoCode::SecretNotFound),
            "SecretNotFound",
            "InProgress",
            false,
        ),
        (
            Fact::NoCode(NoCode::KeyNotFound),
            "KeyNotFound",
            "InProgress",
            false,
        ),
        (
            Fact::NoCode(NoCode::NotDigits),
            "InvalidCode",
            "Stalled",
            false,
        ),
        (
            Fact::NoCode(NoCode::ExpiryNotATime),
            "InvalidCode",
            "Stalled",
            false,
        ),
        (
            Fact::NoCode(NoCode::Expired),
            "CodeExpired",
            "Stalled",
            false,
        ),
        (Fact::Queued(QueuedFor::Turn), "Queued", "InProgress", false),
        (
            Fact::Queued(QueuedFor::Hold(HoldCause::Account)),
            "Queued",
            "InProgress",
            false,
        ),
        (
            Fact::Queued(QueuedFor::OtherAttempt),
            "Queued",
            "InProgress",
            false,
        ),
        (claim(), "Verifying", "InProgress", false),
        (verified(VerifiedBy::Call), "Verified", "Current", true),
        (
            verified(VerifiedBy::ReadBefore),
            "Verified",
            "Current",
            true,
        ),
        (verified(VerifiedBy::ReadAfter), "Verified", "Current", true),
        (refused(Outcome::Refused), "CodeRejected", "Stalled", true),
        (
            refused(Outcome::RequestRefused),
            "RequestRejected",
            "Stalled",
            true,
        ),
        (Fact::Exhausted, "AttemptsExhausted", "Stalled", true),
        (
            set_back(Setback::Credentials),
            "CredentialsInvalid",
            "Stalled",
            false,
        ),
        (set_back(Setback::Account), "AccountError", "Stalled", false),
        (set_back(Setback::Clock), "ClockSkew", "Stalled", false),
        (
            set_back(Setback::Throttled),
            "Throttled",
            "InProgress",
            false,
        ),
        (
            released(Setback::Throttled),
            "Throttled",
            "InProgress",
            false,
        ),
        (released(Setback::NotSent), "Queued", "InProgress", false),
        (released(Setback::Account), "AccountError", "Stalled", false),
        (
            Fact::Unknown {
                told: told(),
                until: later(9),
            },
            "OutcomeUnknown",
            "InProgress",
            false,
        ),
        (
            Fact::UnknownOverdue {
                read_error: "Timeout".into(),
            },
            "OutcomeUnknown",
            "Stalled",
            false,
        ),
        (Fact::UnknownFinal, "OutcomeUnknown", "Stalled", true),
        (
            Fact::Duplicate { owner: None },
            "DuplicatePhoneNumber",
            "Stalled",
            false,
        ),
        (Fact::Suspended, "Suspended", "Paused", false),
    ]
}

fn claim() -> Fact {
    let code = code("111111");
    Fact::Claimed(Claim {
        number: 1,
        id: "id".into(),
        signed_at: now(),
        secret: code.secret.clone(),
        code_fingerprint: code.fingerprint,
    })
}

/// A status that the fact may be said of.
fn before(fact: &Fact) -> PhoneMigrationStatus {
    match fact.outcome() {
        Some(_) => tried("Verifying", 1, &code("111111"), None)
            .status()
            .clone(),
        None => PhoneMigrationStatus::default(),
    }
}

#[test]
fn every_state_has_its_reason_and_all_four_conditions_at_the_first_visit() {
    for (fact, reason, kind, finished) in every_state() {
        let old = before(&fact);
        let new = apply(&old, &fact, &look());
        assert_eq!(new.reason.as_deref(), Some(reason), "{fact:?}");
        assert_eq!(conditions(&new), expected(kind, finished), "{fact:?}");
        assert_eq!(new.observed_generation, Some(3));
        assert_eq!(new.last_handled_reconcile_at.as_deref(), Some("r"));
        for condition in &new.conditions {
            assert_eq!(condition.observed_generation, Some(3));
            assert_eq!(condition.reason, reason);
            assert_eq!(condition.last_transition_time, Time(now()));
            assert!(!condition.message.is_empty());
        }
    }
}

#[test]
fn a_transition_time_stays_while_the_condition_does() {
    let first = apply(&PhoneMigrationStatus::default(), &Fact::Suspended, &look());
    let hour_later = Look {
        now: later(3600),
        ..look()
    };
    let queued = apply(&first, &Fact::Queued(QueuedFor::Turn), &hour_later);
    let times: Vec<_> = queued
        .conditions
        .iter()
        .map(|c| c.last_transition_time.0)
        .collect();
    assert_eq!(times, [now(), later(3600), now(), now()]);
}

#[test]
fn an_error_told_since_does_not_pass_for_why_the_code_was_refused() {
    let old = code("111111");
    let world = spent("CodeRejected", &[&old], Outcome::Refused).code(&old);
    let held = world.after(&Fact::HeldBack {
        setback: Setback::Account,
        told: told(),
        next: None,
    });
    assert_eq!(held.status().error_code.as_deref(), Some("Some.Code"));
    let (_, back) = held.step();
    assert_eq!(back.status().error_code.as_deref(), Some("Error1"));
    assert_eq!(back.status().request_id.as_deref(), Some("REQ-1"));
    assert_eq!(back.status().error_message, None);
}

#[test]
fn messages_are_stable_and_name_no_number_and_no_request() {
    for (fact, ..) in every_state() {
        let old = before(&fact);
        let one = apply(&old, &fact, &look());
        let later_look = Look {
            now: later(77),
            generation: 3,
            ..look()
        };
        let two = apply(&one, &fact, &later_look);
        let messages = |s: &PhoneMigrationStatus| s.conditions[0].message.clone();
        assert_eq!(messages(&one), messages(&two), "{fact:?}");
        let message = messages(&one);
        assert!(
            !message.contains("REQ-9") && !message.contains("8613"),
            "{message}"
        );
        assert!(!message.contains("2026-11-23T12:00:00Z"), "{message}");
    }
    let unknown = Fact::Unknown {
        told: told(),
        until: later(60),
    };
    let status = apply(&before(&unknown), &unknown, &look());
    let message = &status.conditions[0].message;
    assert!(
        message.contains("2026-11-23T12:01:00Z"),
        "until when: {message}"
    );
}
