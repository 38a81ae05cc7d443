#![allow(clippy::unwrap_used)]

use super::*;

/// The local clocks at second `n`, both right.
fn at(n: i64) -> Now {
    Now {
        wall: Timestamp::from_second(1_800_000_000 + n).unwrap(),
        boot: Duration::from_secs(u64::try_from(n).unwrap()),
    }
}

/// A `Date` that is this far ahead of the right time at second `n`.
fn date(n: i64, ahead: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n + ahead).unwrap()
}

fn skew(clock: &ServerClock, now: Now) -> Option<i64> {
    clock.skew(now).map(|skew| skew.as_secs())
}

const HOUR: i64 = 3_600;

#[test]
fn a_date_near_our_own_clock_is_believed_at_once() {
    for ahead in [0, 59, -59, 60] {
        let mut clock = ServerClock::default();
        assert!(clock.note(date(1, ahead), at(1)));
        assert_eq!(skew(&clock, at(5)), Some(ahead));
    }
}

#[test]
fn a_date_an_hour_off_is_believed_when_the_next_reply_says_the_same() {
    for ahead in [HOUR, -HOUR, 61, -61] {
        let mut clock = ServerClock::default();
        assert!(!clock.note(date(1, ahead), at(1)));
        assert_eq!((skew(&clock, at(1)), clock.is_in_doubt()), (None, true));
        assert!(clock.note(date(30, ahead), at(30)), "{ahead}");
        assert!(!clock.is_in_doubt());
        assert_eq!(skew(&clock, at(90)), Some(ahead));
    }
}

#[test]
fn one_node_with_a_wrong_clock_among_others_is_never_believed() {
    let mut clock = ServerClock::default();
    for n in 0..=100 {
        let wrong = n % 2 == 1;
        let ahead = if wrong { HOUR } else { 0 };
        assert_eq!(clock.note(date(n, ahead), at(n)), !wrong);
        assert_eq!(skew(&clock, at(n)), Some(0));
    }
    // Two wrong times in a row that do not agree are not believed either.
    assert!(!clock.note(date(101, HOUR), at(101)));
    assert!(!clock.note(date(102, 2 * HOUR), at(102)));
    assert!(!clock.note(date(103, -HOUR), at(103)));
    assert_eq!(skew(&clock, at(103)), Some(0));
}

#[test]
fn a_step_of_our_own_clock_shows_at_once() {
    let mut clock = ServerClock::default();
    clock.note(date(1, 0), at(1));
    let stepped = Now {
        wall: at(2).wall + SignedDuration::from_hours(1),
        ..at(2)
    };
    assert_eq!(skew(&clock, stepped), Some(-HOUR));
    // The service keeps its clock: its replies are believed, and the step stays visible.
    assert!(clock.note(date(2, 0), stepped));
    assert_eq!(skew(&clock, stepped), Some(-HOUR));
    assert_eq!(skew(&clock, at(3)), Some(0), "and its correction");
}
