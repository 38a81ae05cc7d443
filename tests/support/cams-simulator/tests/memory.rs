//! The gateway's measures and memory: time, nonces, and the order of its checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{AccessKey, Check, NonceScope, Quota, Settings};
use common::{CODE, KEY, Rpc, SECRET, exchange, simulator, simulator_with};
use jiff::{SignedDuration, Timestamp};

const USED: &str = "SignatureNonceUsed";

fn stamp(seconds: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn the_timestamp_window_has_two_sides() {
    let simulator = simulator_with(|settings| {
        settings.timestamp_past_ms = Some(100_000);
        settings.timestamp_future_ms = Some(50_000);
        settings.quota = Quota::unlimited();
    });
    let at = |seconds| {
        let call = Rpc::read().with("Timestamp", &stamp(seconds));
        call.send(&simulator).code()
    };
    for (seconds, code) in [
        (-110, "InvalidTimeStamp.Expired"),
        (-90, "OK"),
        (40, "OK"),
        (60, "InvalidTimeStamp.Expired"),
    ] {
        assert_eq!(at(seconds), code, "{seconds} s");
    }
    simulator.set_clock_offset(-3_600_000);
    assert_eq!(at(0), "InvalidTimeStamp.Expired");
    assert_eq!(at(-3600), "OK");
    let no_window = |settings: &mut Settings| {
        settings.timestamp_past_ms = None;
        settings.timestamp_future_ms = None;
    };
    simulator.change_settings(no_window).unwrap();
    assert_eq!((at(-1_000_000), at(1_000_000)), ("OK".into(), "OK".into()));
}

#[test]
fn a_nonce_works_once_in_its_scope() {
    for (scope, same_account, other_account) in [
        (NonceScope::Key, "OK", "OK"),
        (NonceScope::Account, USED, "OK"),
        (NonceScope::Global, USED, USED),
    ] {
        let simulator = simulator_with(|settings| settings.nonce_scope = scope);
        simulator.add_key(AccessKey::new("second", "s2").in_account(KEY));
        simulator.add_key(AccessKey::new("foreign", "s3"));
        let call = Rpc::read();
        let with = |key: &str, secret: &str| {
            let call = call.clone().with("AccessKeyId", key).secret(secret);
            call.send(&simulator).code()
        };
        assert_eq!(with(KEY, SECRET), "OK");
        let again = call.send(&simulator).outcome();
        assert_eq!(again, (400, USED.to_owned()));
        assert_eq!(with("second", "s2"), same_account, "{scope:?}");
        assert_eq!(with("foreign", "s3"), other_account, "{scope:?}");
    }
}

#[test]
fn a_nonce_is_forgotten_after_its_retention() {
    let simulator = simulator_with(|settings| {
        settings.nonce_retention_ms = 300;
        settings.quota = Quota::unlimited();
    });
    let call = Rpc::read();
    assert_eq!(call.send(&simulator).code(), "OK");
    common::wait_for(|| (call.send(&simulator).code() == "OK").then_some(()));
    let ledger = simulator.ledger();
    let apart = ledger.last().unwrap().arrived_us - ledger.first().unwrap().arrived_us;
    assert!(apart >= 300_000, "{apart}");
    assert!(ledger.len() > 2, "refused in between");
}

/// Two copies at the same time: one is executed.
#[test]
fn copies_that_come_together_are_executed_once() {
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    let (address, bytes) = (simulator.address(), Rpc::verify(CODE).bytes());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let bytes = bytes.clone();
            std::thread::spawn(move || exchange(address, &bytes).code())
        })
        .collect();
    let mut codes: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    codes.sort();
    assert_eq!(codes[0], "OK");
    assert!(codes[1..].iter().all(|code| code == USED), "{codes:?}");
    assert_eq!(simulator.summary().max_executed_per_code, 1);
}

#[test]
fn the_order_of_checks_decides_what_a_throttled_call_leaves_behind() {
    let nonce_later = [
        Check::AccessKey,
        Check::Signature,
        Check::Timestamp,
        Check::Api,
        Check::Quota,
        Check::Permission,
        Check::Nonce,
    ];
    for (checks, again) in [
        (Check::DEFAULT_ORDER.to_vec(), USED),
        (nonce_later.to_vec(), "OK"),
    ] {
        let simulator = simulator_with(|settings| {
            settings.checks = checks.clone();
            settings.quota = Quota {
                window_ms: 60_000,
                ..Quota::rolling(1)
            };
        });
        assert_eq!(Rpc::read().send(&simulator).code(), "OK");
        let call = Rpc::read();
        assert_eq!(call.send(&simulator).code(), "Throttling.User");
        simulator.set_quota(None, Quota::unlimited());
        assert_eq!(call.send(&simulator).code(), again, "{checks:?}");
    }
    let without_account = [Check::Signature, Check::AccessKey];
    let twice = [Check::AccessKey, Check::Api, Check::Api];
    for bad in [&without_account[..], &twice[..], &[]] {
        let simulator = simulator();
        let change = |settings: &mut Settings| settings.checks = bad.to_vec();
        assert!(simulator.change_settings(change).is_err(), "{bad:?}");
        assert_eq!(simulator.settings().checks, Check::DEFAULT_ORDER);
    }
}
