//! When a number's status is read, and what the result means.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::crd::PhoneMigrationStatus;
use phone_migration_operator::decide::Elsewhere;
use phone_migration_operator::fact::{Fact, VerifiedBy};
use phone_migration_operator::reads::{Purpose, ReadResult, Reads, after_read, final_at};
use phone_migration_operator::reason::Outcome;

use super::world::*;

const PURPOSES: [Purpose; 5] = [
    Purpose::Open,
    Purpose::Late,
    Purpose::MakeUp,
    Purpose::MissingId,
    Purpose::TakeOver,
];

/// Signed now, not ended.
fn open(outcome: Option<Outcome>) -> PhoneMigrationStatus {
    let mut world = tried("Verifying", 1, &code("111111"), outcome);
    let status = world.object.status.as_mut().unwrap();
    status.attempt.as_mut().unwrap().signed_at = Time(now());
    status.clone()
}

fn end() -> jiff::Timestamp {
    final_at(now(), VALIDITY)
}

fn observed(
    status: &PhoneMigrationStatus,
    result: &ReadResult,
    at: jiff::Timestamp,
) -> Option<Fact> {
    after_read(status, Purpose::Open, result, None, VALIDITY, at)
}

fn not_verified(date: Option<jiff::Timestamp>) -> ReadResult {
    ReadResult::NotVerified { date }
}

fn verified(id: Option<&str>) -> ReadResult {
    ReadResult::Verified {
        id: id.map(Into::into),
        phone_number: None,
        request_id: None,
    }
}

#[test]
fn a_signature_ends_after_its_validity_and_a_margin_of_at_most_a_minute() {
    assert_eq!(final_at(now(), VALIDITY), later(32 * 60));
    assert_eq!(final_at(now(), Duration::from_secs(7)), later(14));
    let forged = "9999-12-30T21:59:59Z".parse().unwrap();
    assert_eq!(final_at(forged, VALIDITY), jiff::Timestamp::MAX);
    assert_eq!(
        Reads::none(now()).next_observation(jiff::Timestamp::MAX),
        later(5)
    );
}

#[test]
fn the_whole_schedule_from_the_discovery_to_the_end() {
    let mut reads = Reads::none(now());
    let mut at = Vec::new();
    for _ in 0..13 {
        let next = reads.next_observation(end());
        at.push(next.duration_since(now()).as_secs());
        reads = reads.made(true, next);
    }
    assert_eq!(
        at,
        [
            5, 15, 60, 360, 660, 960, 1260, 1560, 1860, 1921, 1981, 2041, 2101
        ]
    );
}

#[test]
fn an_attempt_that_is_found_after_its_end_is_read_at_once() {
    let late = Reads::none(later(4000));
    assert_eq!(late.next_observation(end()), later(4000));
}

#[test]
fn only_a_read_dated_after_the_end_is_final() {
    let second = Duration::from_secs(1);
    for outcome in [None, Some(Outcome::Unknown)] {
        let status = open(outcome);
        let dated = |date, at| observed(&status, &not_verified(date), at);
        assert_eq!(
            dated(Some(end() + second), end() + second),
            Some(Fact::UnknownFinal)
        );
        // The service's clock decides, not ours.
        assert_eq!(dated(Some(end() + second), now()), Some(Fact::UnknownFinal));
        for date in [Some(end()), Some(end() - second), None] {
            for at in [now(), end(), end() + second, later(100_000)] {
                assert_ne!(
                    dated(date, at),
                    Some(Fact::UnknownFinal),
                    "{date:?} at {at}"
                );
            }
        }
        let failed = ReadResult::Failed("Timeout".into());
        for at in [now(), end(), later(100_000)] {
            assert_ne!(observed(&status, &failed, at), Some(Fact::UnknownFinal));
        }
    }
}

#[test]
fn without_a_read_that_can_decide_the_resource_stalls_and_says_why() {
    let status = open(Some(Outcome::Unknown));
    let overdue = |result: &ReadResult, at| match observed(&status, result, at) {
        Some(Fact::UnknownOverdue { read_error }) => Some(read_error),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    let failed = ReadResult::Failed("Timeout".into());
    assert_eq!(overdue(&failed, end()), None);
    assert_eq!(overdue(&failed, later(2000)).as_deref(), Some("Timeout"));
    // That there was no slot for it says nothing of the number.
    assert_eq!(overdue(&ReadResult::NotMade, later(2000)), None);
    assert!(
        overdue(&not_verified(None), later(2000))
            .unwrap()
            .contains("Date")
    );
    let behind = not_verified(Some(end()));
    assert_eq!(overdue(&behind, end() + Duration::from_secs(30)), None);
    assert!(
        overdue(&behind, end() + Duration::from_secs(61))
            .unwrap()
            .contains("clock")
    );
}

#[test]
fn the_first_word_on_a_lost_outcome_names_until_when() {
    for result in [
        not_verified(Some(now())),
        ReadResult::Failed("Timeout".into()),
    ] {
        let Some(Fact::Unknown { until, .. }) = observed(&open(None), &result, now()) else {
            panic!("no fact")
        };
        assert_eq!(until, end() + Duration::from_secs(1));
        assert_eq!(
            observed(&open(Some(Outcome::Unknown)), &result, now()),
            None,
            "said before"
        );
    }
}

#[test]
fn a_read_says_nothing_of_an_attempt_that_ended_meanwhile() {
    for outcome in [
        Outcome::Accepted,
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::NotSent,
        Outcome::UnknownFinal,
    ] {
        for result in [
            not_verified(Some(later(100_000))),
            ReadResult::Failed("x".into()),
        ] {
            for at in [now(), later(100_000)] {
                assert_eq!(
                    observed(&open(Some(outcome)), &result, at),
                    None,
                    "{outcome:?}"
                );
            }
        }
    }
}

#[test]
fn verified_is_news_for_every_purpose() {
    let status = open(Some(Outcome::Unknown));
    for purpose in PURPOSES {
        let fact = after_read(
            &status,
            purpose,
            &verified(Some("828")),
            None,
            VALIDITY,
            now(),
        );
        assert!(
            matches!(&fact, Some(Fact::Verified { by: VerifiedBy::ReadAfter, id: Some(id), .. }) if id == "828")
        );
    }
    // A read for the Id that brings none is no news where the number is known to be verified.
    let known = PhoneMigrationStatus {
        reason: Some("Verified".into()),
        ..status
    };
    let again = after_read(
        &known,
        Purpose::MissingId,
        &verified(None),
        None,
        VALIDITY,
        now(),
    );
    assert_eq!(again, None);
}

#[test]
fn the_id_that_comes_later_does_not_change_who_verified() {
    let by = |status: &PhoneMigrationStatus| match after_read(
        status,
        Purpose::MissingId,
        &verified(Some("8")),
        None,
        VALIDITY,
        now(),
    ) {
        Some(Fact::Verified { by, .. }) => by,
        other => panic!("{other:?}"),
    };
    assert_eq!(by(&open(Some(Outcome::Accepted))), VerifiedBy::Call);
    assert_eq!(by(&open(Some(Outcome::Adopted))), VerifiedBy::ReadAfter);
    assert_eq!(by(&seen("Verified")), VerifiedBy::ReadBefore);
}

/// The cache showed the claim, the live object the success: the API server was away between.
#[test]
fn a_read_by_an_older_view_does_not_rewrite_a_recorded_success() {
    let told = PhoneMigrationStatus {
        reason: Some("Verified".into()),
        request_id: Some("the call's".into()),
        ..open(Some(Outcome::Accepted))
    };
    let known = PhoneMigrationStatus {
        id: Some("828".into()),
        ..told.clone()
    };
    let read = ReadResult::Verified {
        id: Some("828".into()),
        phone_number: None,
        request_id: Some("the read's".into()),
    };
    for purpose in PURPOSES {
        let after = |status| after_read(status, purpose, &read, None, VALIDITY, now());
        assert_eq!(after(&known), None, "{purpose:?}");
        // Its Id is news, and nothing else.
        let fact = after(&told);
        assert!(
            matches!(
                &fact,
                Some(Fact::Verified {
                    by: VerifiedBy::Call,
                    request_id: None,
                    ..
                })
            ),
            "{purpose:?}: {fact:?}"
        );
    }
}

#[test]
fn reads_after_the_end_are_hourly_for_a_day_and_three_for_a_missing_id() {
    let none = Reads::none(now());
    assert_eq!(none.next(Purpose::Late, now(), now()), Some(later(3600)));
    let mut reads = none;
    let mut id = none;
    let mut at = Vec::new();
    while let Some(next) = reads.next(Purpose::Late, now(), now()) {
        reads = reads.made(true, next);
        at.push(next);
    }
    assert_eq!((at.len(), at[23]), (24, later(24 * 3600)));
    let mut at = Vec::new();
    while let Some(next) = id.next(Purpose::MissingId, now(), now()) {
        id = id.made(true, next);
        at.push(next);
    }
    assert_eq!(at[..4], [later(5), later(15), later(60), later(3660)]);
    assert!(*at.last().unwrap() <= later(24 * 3600));
    // Again at start.
    let restarted = Reads::none(later(30 * 3600));
    assert!(
        restarted
            .next(Purpose::MissingId, now(), later(30 * 3600))
            .is_some()
    );
}

#[test]
fn a_refusal_is_made_up_for_once_and_only_if_its_read_failed() {
    let none = Reads::none(now());
    assert_eq!(none.next(Purpose::MakeUp, now(), now()), None);
    let due = Reads {
        make_up: true,
        ..none
    };
    assert_eq!(due.next(Purpose::MakeUp, now(), now()), Some(later(60)));
    assert_eq!(
        due.made(true, now()).next(Purpose::MakeUp, now(), now()),
        None
    );
    // Without an answer it is made again, a minute later each time, five times at most.
    let mut due = due;
    for n in 1..5 {
        due = due.made(false, later(60 * n));
        let next = due.next(Purpose::MakeUp, now(), now());
        assert_eq!(next, Some(later(60 * (n + 1))));
    }
    let given_up = due.made(false, later(300));
    assert_eq!(given_up.next(Purpose::MakeUp, now(), now()), None);
}

#[test]
fn a_clock_that_is_put_back_does_not_put_off_reads() {
    let ahead = Reads::none(later(7200)).made(true, later(7300));
    let put_right = ahead.not_after(now());
    assert_eq!((put_right.since, put_right.last), (now(), Some(now())));
    let before = Reads::none(now()).made(true, later(5));
    assert_eq!(before.not_after(later(10)), before);
}

#[test]
fn a_code_spent_by_a_resource_that_is_gone_is_taken_over_after_a_read() {
    let status = seen("Queued");
    let take_over = |outcome, result: &ReadResult| {
        let known = Elsewhere::Ended {
            code: entry(1, &code("111111"), outcome),
            final_at: now(),
        };
        after_read(
            &status,
            Purpose::TakeOver,
            result,
            Some(&known),
            VALIDITY,
            now(),
        )
    };
    let failed = ReadResult::Failed("Timeout".into());
    assert!(matches!(
        take_over(Outcome::Refused, &failed),
        Some(Fact::TookOver(_))
    ));
    assert_eq!(
        take_over(Outcome::UnknownFinal, &failed),
        None,
        "it may have succeeded"
    );
    for date in [None, Some(now())] {
        let early = take_over(Outcome::UnknownFinal, &not_verified(date));
        assert_eq!(
            early, None,
            "by the service's clock it may still be executed"
        );
    }
    let answered = not_verified(Some(later(1)));
    assert!(matches!(
        take_over(Outcome::UnknownFinal, &answered),
        Some(Fact::TookOver(_))
    ));
    for unknown in [None, Some(Elsewhere::Open)] {
        let fact = after_read(
            &status,
            Purpose::TakeOver,
            &answered,
            unknown.as_ref(),
            VALIDITY,
            now(),
        );
        assert_eq!(fact, None);
    }
}
