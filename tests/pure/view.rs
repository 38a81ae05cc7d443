//! The presentation of a resource's attempts in status: a view of the ledger, which keeps the
//! entries that only status shows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::{Attempt, PhoneMigrationStatus};
use phone_migration_operator::api::reason::Outcome;
use phone_migration_operator::domain::ledger::{Ledger, Shown, is_outdated, shown};

use super::world::*;

fn aged(id: &str, digits: &str, outcome: Option<Outcome>, seconds: u64) -> LedgerEntry {
    LedgerEntry {
        signed_at: Time(ago(seconds)),
        finished_at: outcome.map(|_| Time(ago(seconds - 1))),
        ..entry(id, &code(digits), outcome)
    }
}

type Said<'a> = (&'a str, i32, Option<Outcome>);
type Spent<'a> = (&'a str, i32, Outcome);

/// The presentation, as ids with their numbers and outcomes: the attempt, and the history.
fn view(shown: &Shown) -> (Option<Said<'_>>, Vec<Spent<'_>>) {
    let attempt = shown.attempt.as_ref();
    let history = shown.history.iter();
    (
        attempt.map(|a| (a.id.as_str(), a.number, a.outcome)),
        history
            .map(|e| (e.attempt_id.as_str(), e.number, e.outcome))
            .collect(),
    )
}

fn of(status: Option<PhoneMigrationStatus>, ledger: &Ledger) -> Shown {
    shown(&object(status), ledger)
}

/// A status that shows these entries.
fn status_of(entries: Vec<LedgerEntry>) -> PhoneMigrationStatus {
    let view = of(None, &ledger(entries));
    PhoneMigrationStatus {
        attempt: view.attempt,
        history: view.history,
        ..seen("Queued")
    }
}

/// If another process's writes have overtaken the index, the operator reads the ledger again before
/// it reports on it.
#[test]
fn a_ledger_with_an_open_entry_is_outdated_where_status_shows_its_end_or_another_one() {
    let open = ledger(vec![aged("a", "111111", None, 9)]);
    let ended = |outcome| status_of(vec![aged("a", "111111", outcome, 9)]);
    let outdated = |known: &Ledger, status| is_outdated(known, &object(Some(status)));
    for outcome in [REFUSED, THROTTLED, Some(Outcome::Adopted)] {
        assert!(outdated(&open, ended(outcome)), "{outcome:?}");
    }
    for outcome in [None, UNKNOWN] {
        assert!(!outdated(&open, ended(outcome)), "{outcome:?}");
    }
    // Another resource's end: status reported one, or it had its own.
    for reason in ["CodeRejected", "RequestRejected", "AttemptsExhausted"] {
        assert!(outdated(&open, seen(reason)), "{reason}");
    }
    assert!(outdated(&open, seen("DuplicatePhoneNumber")));
    for reason in ["Queued", "OutcomeUnknown", "SecretNotFound", "Throttled"] {
        assert!(!outdated(&open, seen(reason)), "{reason}");
    }
    assert!(!is_outdated(&open, &object(None)));
    let closed = ledger(vec![aged("a", "111111", REFUSED, 9)]);
    assert!(!outdated(&closed, ended(REFUSED)));
}

#[test]
fn the_entries_of_this_resource_are_shown_and_only_spent_codes_have_a_number_of_their_own() {
    let known = ledger(vec![
        aged("e", "555555", NOT_SENT, 10),
        aged("d", "444444", FINAL, 20),
        foreign("tenant-a", aged("x", "999999", REFUSED, 25)),
        aged("c", "333333", THROTTLED, 30),
        aged("b", "222222", REFUSED, 40),
    ]);
    let view_of = of(None, &known);
    let (attempt, history) = view(&view_of);
    assert_eq!(attempt, Some(("e", 3, NOT_SENT)));
    assert_eq!(
        history,
        [("d", 2, Outcome::UnknownFinal), ("b", 1, Outcome::Refused)]
    );
    let attempt = view_of.attempt.unwrap();
    assert_eq!(attempt.final_at, Some(known.entries[0].final_at.clone()));
    assert_eq!(attempt.secret, Some(code("555555").secret));
    let spent = &view_of.history[1];
    assert_eq!(
        spent.code_fingerprint.as_ref(),
        Some(&code("222222").fingerprint)
    );
    assert_eq!(spent.error_code.as_deref(), Some("Error-b"));
}

/// It is in no history, and is the only evidence if the ledger is lost.
#[test]
fn what_is_open_or_verified_is_the_attempt_whatever_came_after_it() {
    for outcome in [None, UNKNOWN, ACCEPTED] {
        let known = ledger(vec![
            aged("b", "222222", REFUSED, 10),
            aged("a", "111111", outcome, 20),
        ]);
        let view_of = of(None, &known);
        let (attempt, history) = view(&view_of);
        assert_eq!(attempt, Some(("a", 1, outcome)));
        assert_eq!(history, [("b", 2, Outcome::Refused)]);
    }
}

/// After a loss of the ledger it is the only evidence that its code was spent.
#[test]
fn an_attempt_that_the_ledger_does_not_know_stays() {
    let status = status_of(vec![
        aged("b", "222222", None, 10),
        aged("a", "111111", REFUSED, 20),
    ]);
    let lost = of(Some(status.clone()), &Ledger::default());
    assert_eq!(
        (lost.attempt, lost.history),
        (status.attempt.clone(), status.history.clone())
    );
    let unusable =
        Ledger::unusable(phone_migration_operator::domain::ledger::Unusable::BeingDeleted);
    let kept = of(Some(status.clone()), &unusable);
    assert_eq!(
        (kept.attempt, kept.history),
        (status.attempt.clone(), status.history.clone())
    );
    // Next to a newer entry it goes into history, where it is still open.
    let known = ledger(vec![aged("c", "333333", None, 5)]);
    let beside = of(Some(status.clone()), &known);
    let (attempt, history) = view(&beside);
    assert_eq!(attempt, Some(("c", 1, None)));
    assert_eq!(
        history,
        [("b", 2, Outcome::Unknown), ("a", 1, Outcome::Refused)]
    );
    // Released, and since left out of the ledger: status keeps no trace of it.
    let released = Ledger {
        released: vec!["a".into(), "b".into()],
        ..Ledger::default()
    };
    assert_eq!(of(Some(status), &released), Shown::default());
}

/// Another resource of the number reads history as codes that were spent.
#[test]
fn a_released_attempt_that_the_ledger_does_not_know_is_no_spent_code() {
    let released = aged("b", "222222", THROTTLED, 10);
    let status = status_of(vec![released, aged("a", "111111", REFUSED, 20)]);
    let older = ledger(vec![aged("a", "111111", REFUSED, 20)]);
    let view_of = of(Some(status.clone()), &older);
    assert_eq!(
        (view_of.attempt, view_of.history),
        (status.attempt.clone(), status.history.clone())
    );
    let newer = ledger(vec![
        aged("c", "222222", None, 5),
        aged("a", "111111", REFUSED, 20),
    ]);
    let view_of = of(Some(status), &newer);
    let (attempt, history) = view(&view_of);
    assert_eq!(attempt, Some(("c", 2, None)));
    assert_eq!(history, [("a", 1, Outcome::Refused)]);
}

#[test]
fn an_open_attempt_goes_once_its_code_is_spent_and_no_other_does() {
    let open = |outcome| Attempt {
        id: "lost".into(),
        outcome,
        ..status_of(vec![aged("lost", "111111", None, 10)])
            .attempt
            .unwrap()
    };
    let status = |outcome| PhoneMigrationStatus {
        attempt: Some(open(outcome)),
        ..seen("Queued")
    };
    let with = |outcome| ledger(vec![foreign("tenant-b", aged("x", "111111", outcome, 5))]);
    for outcome in [None, UNKNOWN] {
        let gone = of(Some(status(outcome)), &with(REFUSED));
        assert_eq!(gone, Shown::default());
        let gone = of(Some(status(outcome)), &with(ACCEPTED));
        assert_eq!(gone, Shown::default());
        for still in [None, NOT_SENT] {
            let kept = of(Some(status(outcome)), &with(still));
            assert_eq!(kept.attempt, Some(open(outcome)), "{still:?}");
        }
    }
    let kept = of(Some(status(REFUSED)), &with(REFUSED));
    assert_eq!(kept.attempt, Some(open(REFUSED)));
}

#[test]
fn a_definite_outcome_in_status_is_not_replaced_by_a_weaker_one() {
    let says = |outcome| status_of(vec![aged("a", "111111", Some(outcome), 10)]);
    let knows = |outcome| ledger(vec![aged("a", "111111", outcome, 10)]);
    for outcome in Outcome::ALL {
        for known in [None].into_iter().chain(Outcome::ALL.map(Some)) {
            let view_of = of(Some(says(outcome)), &knows(known));
            let replaces = known.is_some_and(|known| known.may_replace(Some(outcome)));
            let expected = if replaces { known } else { Some(outcome) };
            let (attempt, history) = view(&view_of);
            assert_eq!(attempt.unwrap().2, expected, "{outcome:?} by {known:?}");
            // Nor in history, which stays the same.
            for (_, _, spent) in history {
                assert_eq!(Some(spent), expected, "{outcome:?} by {known:?}");
            }
        }
    }
}
