#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

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
