#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

#[test]
fn polls_grow_from_five_seconds_to_a_minute_then_slow_down() {
    let s = Duration::from_secs;
    assert_eq!(poll_delay(s(0), 0), s(5));
    assert_eq!(poll_delay(s(60), 0), s(30));
    assert_eq!(poll_delay(s(600), 0), s(60));
    assert_eq!(poll_delay(s(1801), 0), s(300));
    for unchanged in 0..4000 {
        for jitter in [0, 1, 128, 255] {
            let (plain, jittered) = (
                poll_delay(s(unchanged), 0),
                poll_delay(s(unchanged), jitter),
            );
            assert!(jittered <= plain && jittered * 10 >= plain * 9);
        }
    }
}

#[test]
fn back_off_doubles_from_five_seconds_to_five_minutes() {
    let seconds: Vec<u64> = (0..9).map(|n| back_off(n).as_secs()).collect();
    assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn conflicts_back_off_from_ten_milliseconds_to_five_seconds() {
    let millis: Vec<u128> = (0..11).map(|n| conflict_back_off(n).as_millis()).collect();
    let doubled = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000];
    assert_eq!(millis, doubled);
}
