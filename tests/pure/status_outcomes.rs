//! What becomes of an attempt: late words, spent and released codes.

use phone_migration_operator::fact::{Fact, Setback, VerifiedBy};
use phone_migration_operator::reason::{Outcome, Spent};
use phone_migration_operator::status::{apply, codes_spent};

use super::status_table::{every_state, look, refused, told, verified};
use super::world::*;

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
        let released = outcome.spent() == Spent::Released;
        for fact in &late {
            // A release that stands there while our call is answered is somebody else's writing.
            if released && matches!(fact, Fact::Refused { .. }) {
                let new = apply(old.status(), fact, &look());
                assert_eq!(new.attempt.unwrap().outcome, fact.outcome());
                continue;
            }
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
