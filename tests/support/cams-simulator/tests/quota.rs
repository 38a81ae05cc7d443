//! Kinds of quota, by table and by property, and over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{
    AccessKey, Decision, Number, Quota, QuotaKind, READ_STATUS, Refusal, VERIFIED, Window,
    worst_second,
};
use common::{CODE, KEY, PHONE, Rpc, simulator_with};
use proptest::prelude::*;

/// Admission of arrivals, given in milliseconds.
fn admitted(quota: Quota, arrivals_ms: &[u64]) -> Vec<u8> {
    let mut window = Window::default();
    arrivals_ms
        .iter()
        .map(|ms| u8::from(window.admit(quota, ms * 1000)))
        .collect()
}

#[test]
fn a_rolling_window_is_closed_at_both_ends() {
    let two = Quota::rolling(2);
    assert_eq!(admitted(two, &[0, 500, 999]), [1, 1, 0]);
    // Exactly one window apart.
    assert_eq!(admitted(two, &[0, 500, 1000]), [1, 1, 0]);
    assert_eq!(admitted(two, &[0, 500, 1001]), [1, 1, 1]);
    let bursts = [0, 0, 0, 1001, 1001, 1001];
    assert_eq!(admitted(two, &bursts), [1, 1, 0, 1, 1, 0]);
    let strict = Quota {
        count_throttled: true,
        ..two
    };
    let times = [0, 500, 900, 1400, 2401];
    assert_eq!(admitted(strict, &times), [1, 1, 0, 0, 1]);
}

#[test]
fn a_fixed_window_forgets_at_its_edge() {
    let two = Quota::rolling(2).of_kind(QuotaKind::Fixed);
    let times = [0, 998, 999, 1000, 1001, 1002];
    assert_eq!(admitted(two, &times), [1, 1, 0, 1, 1, 0]);
}

#[test]
fn a_bucket_is_full_at_first_and_refills_evenly() {
    let ten = Quota::rolling(10).of_kind(QuotaKind::Bucket);
    assert_eq!(admitted(ten, &[0; 11]), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let mut window = Window::default();
    for _ in 0..10 {
        assert!(window.admit(ten, 0));
    }
    assert!(!window.admit(ten, 99_999));
    assert!(window.admit(ten, 100_000));
    assert!(!window.admit(ten, 199_999));
    assert!(window.admit(ten, 5_000_000));
}

#[test]
fn zero_is_unlimited() {
    for kind in [QuotaKind::Rolling, QuotaKind::Fixed, QuotaKind::Bucket] {
        let quota = Quota::unlimited().of_kind(kind);
        assert_eq!(admitted(quota, &[0; 50]), [1; 50]);
    }
}

proptest! {
    /// Never more than the limit in any closed window, even if stamps come out of order.
    #[test]
    fn rolling_never_admits_more_than_its_limit(
        limit in 1u32..12,
        gaps in prop::collection::vec((0u64..300_000, 0u64..200_000), 1..200),
    ) {
        let mut window = Window::default();
        let (mut clock, mut times) = (200_000, Vec::new());
        for (gap, late) in gaps {
            clock += gap;
            let at = clock - late;
            if window.admit(Quota::rolling(limit), at) {
                times.push(at);
            }
        }
        prop_assert!(worst_second(&times) <= u64::from(limit));
    }

    /// In order, it admits every call that fits: it refuses no call without need.
    #[test]
    fn rolling_admits_all_that_fits(
        limit in 1u32..12,
        gaps in prop::collection::vec(0u64..300_000, 1..200),
    ) {
        let mut window = Window::default();
        let (mut clock, mut times) = (0, Vec::new());
        for gap in gaps {
            clock += gap;
            let mut with = times.clone();
            with.push(clock);
            let fits = worst_second(&with) <= u64::from(limit);
            prop_assert_eq!(window.admit(Quota::rolling(limit), clock), fits);
            if fits {
                times = with;
            }
        }
    }

    #[test]
    fn fixed_never_admits_more_than_its_limit_in_a_window(
        limit in 1u32..12,
        gaps in prop::collection::vec(0u64..300_000, 1..200),
    ) {
        let quota = Quota::rolling(limit).of_kind(QuotaKind::Fixed);
        let mut window = Window::default();
        let mut clock = 0;
        let mut per_window = std::collections::BTreeMap::<u64, u32>::new();
        for gap in gaps {
            clock += gap;
            let used = per_window.entry(clock / 1_000_000).or_default();
            let admitted = window.admit(quota, clock);
            prop_assert_eq!(admitted, *used < limit);
            *used += u32::from(admitted);
        }
    }

    #[test]
    fn a_bucket_admits_at_most_its_limit_and_the_refill(
        limit in 1u32..12,
        gaps in prop::collection::vec(0u64..300_000, 1..200),
    ) {
        let quota = Quota::rolling(limit).of_kind(QuotaKind::Bucket);
        let mut window = Window::default();
        let (mut clock, mut count) = (0, 0u64);
        for gap in gaps {
            clock += gap;
            count += u64::from(window.admit(quota, clock));
            let refill = clock * u64::from(limit) / 1_000_000;
            prop_assert!(count <= u64::from(limit) + refill);
        }
    }
}

#[test]
fn keys_of_an_account_share_the_quota_and_actions_do_not() {
    let simulator = simulator_with(|settings| {
        settings.quota = Quota::rolling(2);
        settings.throttle = Refusal::new(429, "System.LimitControl", "busy").retry_after_ms(700);
    });
    simulator.add_key(AccessKey::new("second", "s2").in_account(KEY));
    simulator.add_key(AccessKey::new("foreign", "s3"));
    let read = |key: &str, secret: &str| {
        let call = Rpc::read().with("AccessKeyId", key);
        call.secret(secret).send(&simulator)
    };
    assert_eq!(read(KEY, common::SECRET).code(), "OK");
    assert_eq!(read("second", "s2").code(), "OK");
    let throttled = read(KEY, common::SECRET);
    assert_eq!(throttled.outcome(), (429, "System.LimitControl".to_owned()));
    let after = throttled.header("x-acs-retry-after");
    assert_eq!(after.as_deref(), Some("700"));
    assert_eq!(read("foreign", "s3").code(), "OK", "another account");
    let other = Rpc::verify(CODE).send(&simulator).code();
    assert_eq!(other, "OK", "another action");
    let summary = simulator.summary();
    assert_eq!(summary.action(READ_STATUS).counts.throttled, 1);
    assert_eq!(summary.action(VERIFIED).counts.executed, 1);
    // A throttled call was counted as well.
    assert_eq!(summary.worst_second, 3);
}

#[test]
fn a_throttled_call_is_not_executed_and_a_burst_is_cut_at_the_limit() {
    let simulator = simulator_with(|settings| settings.quota.window_ms = 60_000);
    for i in 0..30 {
        simulator.add_number(Number::new(format!("86138{i:08}"), CODE, "1"));
    }
    let address = simulator.address();
    let threads: Vec<_> = (0..30)
        .map(|i| {
            let call = Rpc::verify(CODE).with("PhoneNumber", &format!("86138{i:08}"));
            std::thread::spawn(move || common::exchange(address, &call.bytes()).outcome())
        })
        .collect();
    let outcomes: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let throttled = (400, "Throttling.User".to_owned());
    let ledger = simulator.ledger();
    let cut = outcomes.iter().filter(|outcome| **outcome == throttled);
    assert_eq!(cut.count(), 20);
    let counts = simulator.summary().action(VERIFIED).counts;
    assert_eq!((counts.accepted, counts.throttled), (10, 20));
    for entry in ledger {
        let number = simulator.number(entry.phone.as_deref().unwrap()).unwrap();
        assert_eq!(number.verified, entry.decision == Decision::Accepted);
        assert_eq!(entry.executed(), number.verified);
        // Counted at its arrival.
        assert_eq!(entry.counted_us, Some(entry.arrived_us));
    }
    assert!(!simulator.number(PHONE).unwrap().verified);
}

#[test]
fn jitter_delays_the_count() {
    let simulator = simulator_with(|settings| {
        settings.jitter_ms = 40;
        settings.jitter_seed = 3;
    });
    for _ in 0..5 {
        assert_eq!(Rpc::read().send(&simulator).code(), "OK");
    }
    let late: Vec<_> = simulator
        .ledger()
        .iter()
        .map(|entry| entry.counted_us.unwrap() - entry.arrived_us)
        .collect();
    // A timer never fires early, so the drawn times are lower bounds.
    assert!(late.iter().any(|late| *late > 10_000), "{late:?}");
}
