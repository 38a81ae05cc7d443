//! When the operator reads a number's status.

use std::time::Duration;

use phone_migration_operator::domain::reads::{Purpose, Reads, decisive_read, final_at};

use super::world::*;

#[test]
fn a_signature_ends_after_its_validity_and_a_margin_of_at_most_a_minute() {
    assert_eq!(final_at(now(), VALIDITY), later(32 * 60));
    assert_eq!(decisive_read(later(32 * 60)), later(32 * 60 + 1));
    assert_eq!(final_at(now(), Duration::from_secs(7)), later(14));
    let forged = "9999-12-30T21:59:59Z".parse().unwrap();
    assert_eq!(final_at(forged, VALIDITY), jiff::Timestamp::MAX);
    let next = Reads::none(now()).next_observation(jiff::Timestamp::MAX);
    assert_eq!(next, later(5));
}

#[test]
fn the_whole_schedule_from_the_discovery_to_the_end() {
    let end = final_at(now(), VALIDITY);
    let mut reads = Reads::none(now());
    let mut at = Vec::new();
    for _ in 0..13 {
        let next = reads.next_observation(end);
        at.push(next.duration_since(now()).as_secs());
        reads = reads.made(true, next);
    }
    assert_eq!(
        at,
        [
            5, 15, 60, 360, 660, 960, 1260, 1560, 1860, 1921, 1981, 2041, 2101
        ]
    );
    // An entry that is found after its end is read at once.
    assert_eq!(Reads::none(later(4000)).next_observation(end), later(4000));
}

#[test]
fn reads_after_the_end_are_hourly_for_a_day_and_three_for_a_missing_id() {
    let all = |purpose| {
        let (mut reads, mut at) = (Reads::none(now()), Vec::new());
        while let Some(next) = reads.next(purpose, now(), now()) {
            reads = reads.made(true, next);
            at.push(next);
        }
        at
    };
    let late = all(Purpose::Late);
    assert_eq!(
        (late.len(), late[0], late[23]),
        (24, later(3600), later(24 * 3600))
    );
    let id = all(Purpose::MissingId);
    assert_eq!(id[..4], [later(5), later(15), later(60), later(3660)]);
    assert!(*id.last().unwrap() <= later(24 * 3600));
    // Again at start.
    let restarted = later(30 * 3600);
    let next = Reads::none(restarted).next(Purpose::MissingId, now(), restarted);
    assert_eq!(next, Some(restarted + Duration::from_secs(5)));
}

#[test]
fn a_refusal_is_made_up_for_once_and_only_if_its_read_failed() {
    let none = Reads::none(now());
    let next = |reads: Reads| reads.next(Purpose::MakeUp, now(), now());
    assert_eq!(next(none), None);
    let mut due = Reads {
        make_up: true,
        ..none
    };
    assert_eq!(next(due), Some(later(60)));
    assert_eq!(next(due.made(true, now())), None);
    // Without an answer it is repeated, a minute later each time, five times at most.
    for n in 1..5 {
        due = due.made(false, later(60 * n));
        assert_eq!(next(due), Some(later(60 * (n + 1))));
    }
    assert_eq!(next(due.made(false, later(300))), None);
}

#[test]
fn a_clock_that_is_put_back_does_not_put_off_reads() {
    let ahead = Reads::none(later(7200)).made(true, later(7300));
    let put_right = ahead.not_after(now());
    assert_eq!((put_right.since, put_right.last), (now(), Some(now())));
    let before = Reads::none(now()).made(true, later(5));
    assert_eq!(before.not_after(later(10)), before);
}
