//! What each fact makes of a status: reason, conditions, fields, messages.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::crd::PhoneMigrationStatus;
use phone_migration_operator::fact::{
    Claim, Fact, HoldCause, NoCode, QueuedFor, Setback, Told, VerifiedBy,
};
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::status::{Look, apply, codes_spent};

use super::world::*;

pub fn told() -> Told {
    Told {
        code: Some("Some.Code".into()),
        message: Some("words".into()),
        request_id: Some("REQ-9".into()),
    }
}

fn verified(by: VerifiedBy) -> Fact {
    Fact::Verified {
        by,
        id: Some("828".into()),
        phone_number: Some("861380000****".into()),
        request_id: Some("REQ-9".into()),
    }
}

fn refused(outcome: Outcome) -> Fact {
    Fact::Refused {
        outcome,
        told: told(),
    }
}

fn look() -> Look {
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
            Fact::Queued(QueuedFor::SameCode),
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
fn a_definite_outcome_is_never_replaced() {
    let late = [
        Fact::Released {
            setback: Setback::NotSent,
            told: told(),
            next: None,
        },
        Fact::Unknown {
            told: told(),
            until: later(9),
        },
        Fact::UnknownFinal,
        Fact::UnknownOverdue {
            read_error: "Timeout".into(),
        },
        refused(Outcome::Refused),
        refused(Outcome::RequestRefused),
    ];
    for outcome in [
        Outcome::Accepted,
        Outcome::Adopted,
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::Throttled,
        Outcome::NotSent,
        Outcome::Blocked,
    ] {
        let old = tried("CodeRejected", 1, &code("111111"), Some(outcome));
        for fact in &late {
            assert_eq!(
                &apply(old.status(), fact, &look()),
                old.status(),
                "{outcome:?} {fact:?}"
            );
        }
        let found = apply(old.status(), &verified(VerifiedBy::ReadAfter), &look());
        assert_eq!(
            found.reason.as_deref(),
            Some("Verified"),
            "a refusal may hide success"
        );
        assert_eq!(found.attempt, old.status().attempt);
    }
    // An unknown learns of a definite outcome even after it became final, but of no release.
    let unknown = spent("OutcomeUnknown", &[&code("111111")], Outcome::UnknownFinal);
    for (fact, outcome) in [
        (verified(VerifiedBy::ReadAfter), Outcome::Adopted),
        (verified(VerifiedBy::Call), Outcome::Accepted),
        (refused(Outcome::Refused), Outcome::Refused),
    ] {
        let new = apply(unknown.status(), &fact, &look());
        assert_eq!(new.attempt.unwrap().outcome, Some(outcome));
        assert_eq!((new.history.len(), new.history[0].outcome), (1, outcome));
    }
    for fact in &late[..4] {
        assert_eq!(&apply(unknown.status(), fact, &look()), unknown.status());
    }
}

#[test]
fn nothing_covers_an_open_attempt_or_a_verified_number() {
    let open = tried("Verifying", 1, &code("111111"), None);
    let unknown = tried("OutcomeUnknown", 1, &code("111111"), Some(Outcome::Unknown));
    let adopted = World::new(seen("Verified"));
    for (fact, ..) in every_state()
        .into_iter()
        .filter(|(f, ..)| f.outcome().is_none())
    {
        for world in [&open, &unknown, &adopted] {
            assert_eq!(
                &apply(world.status(), &fact, &look()),
                world.status(),
                "{fact:?}"
            );
        }
    }
}

#[test]
fn a_spent_code_is_remembered_with_its_error_and_a_released_one_is_not() {
    let open = tried("Verifying", 1, &code("111111"), None);
    let new = apply(open.status(), &refused(Outcome::Refused), &look());
    assert_eq!(new.history.len(), 1);
    assert_eq!(new.history[0].error_code.as_deref(), Some("Some.Code"));
    assert_eq!(new.history[0].request_id.as_deref(), Some("REQ-9"));
    assert_eq!((new.history[0].number, codes_spent(&new)), (1, 1));
    let released = Fact::Released {
        setback: Setback::NotSent,
        told: told(),
        next: None,
    };
    let new = apply(open.status(), &released, &look());
    assert_eq!((new.history.len(), codes_spent(&new)), (0, 0));
    assert_eq!(new.attempt.unwrap().outcome, Some(Outcome::NotSent));
}

#[test]
fn the_fifth_refusal_exhausts() {
    let codes: Vec<_> = (0..4).map(|n| code(&format!("{}", 100_000 + n))).collect();
    let codes: Vec<_> = codes.iter().collect();
    let fifth = spent("CodeRejected", &codes, Outcome::Refused).with(|w| {
        w.object.status.as_mut().unwrap().attempt = Some(attempt(5, &code("555555"), None))
    });
    let new = apply(fifth.status(), &refused(Outcome::Refused), &look());
    assert_eq!(new.reason.as_deref(), Some("AttemptsExhausted"));
    assert_eq!(new.history.len(), 5);
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
