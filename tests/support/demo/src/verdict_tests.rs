//! Each promise, kept and broken.
#![allow(clippy::unwrap_used)]

use harness::cams_simulator::READ_STATUS;
use harness::made_up_row;
use serde_json::{Value, json};

use super::*;

const LIMIT: u64 = 10;

fn ending(n: u32, reason: &str) -> Ending {
    let id = format!("id-{n}");
    Ending {
        name: format!("tenant-a/store-{n}"),
        phone: phone(n),
        expected_id: id.clone(),
        verified_before: false,
        reason: reason.to_owned(),
        id: if reason == "Verified" {
            id
        } else {
            String::new()
        },
    }
}

fn phone(n: u32) -> String {
    format!("861380000{n:04}")
}

/// A call of number `n`, counted and executed `at_ms`.
fn call(action: &str, n: u32, code: Option<&str>, at_ms: u64, decision: &str) -> Value {
    made_up_row(action, &phone(n), code, decision, at_ms * 1000)
}

fn submission(n: u32, code: &str, at_ms: u64, decision: &str) -> Entry {
    serde_json::from_value(call(VERIFIED, n, Some(code), at_ms, decision)).unwrap()
}

fn read(n: u32, at_ms: u64) -> Entry {
    serde_json::from_value(call(READ_STATUS, n, None, at_ms, "accepted")).unwrap()
}

#[test]
fn a_good_morning_breaks_no_promise() {
    let endings = [
        ending(1, "Verified"),
        ending(2, "Verified"),
        Ending {
            verified_before: true,
            ..ending(3, "Verified")
        },
    ];
    let ledger = [
        read(1, 0),
        submission(1, "111111", 100, "accepted"),
        submission(2, "000000", 200, "refused"),
        submission(2, "222222", 300, "accepted"),
        read(3, 400),
    ];
    assert_eq!(violations(&endings, &ledger, LIMIT), []);
}

#[test]
fn a_code_executed_twice_is_found() {
    let ledger = [
        submission(1, "111111", 0, "accepted"),
        submission(1, "111111", 5_000, "refused"),
    ];
    let found = violations(&[ending(1, "Verified")], &ledger, LIMIT);
    let name = "tenant-a/store-1".to_owned();
    assert_eq!(found, [Violation::ExecutedTwice { name, times: 2 }]);
}

#[test]
fn the_same_code_of_two_numbers_is_no_repetition() {
    let endings = [ending(1, "Verified"), ending(2, "Verified")];
    let ledger = [
        submission(1, "111111", 0, "accepted"),
        submission(2, "111111", 100, "accepted"),
    ];
    assert_eq!(violations(&endings, &ledger, LIMIT), []);
}

#[test]
fn an_accepted_code_without_its_id_in_status_is_a_lost_outcome() {
    let ledger = [submission(1, "111111", 0, "accepted")];
    for reason in ["OutcomeUnknown", "CodeRejected", "Verifying", ""] {
        let found = violations(&[ending(1, reason)], &ledger, LIMIT);
        let name = "tenant-a/store-1".to_owned();
        let reason = reason.to_owned();
        assert_eq!(found, [Violation::OutcomeLost { name, reason }]);
    }
    let other_id = Ending {
        id: "id-of-another".to_owned(),
        ..ending(1, "Verified")
    };
    assert!(matches!(
        violations(&[other_id], &ledger, LIMIT)[..],
        [Violation::OutcomeLost { .. }]
    ));
}

#[test]
fn a_success_that_the_cloud_knows_nothing_of_is_found() {
    let found = violations(&[ending(1, "Verified")], &[read(1, 0)], LIMIT);
    let name = "tenant-a/store-1".to_owned();
    assert_eq!(found, [Violation::FalseSuccess { name }]);
}

#[test]
fn eleven_calls_in_a_second_exceed_a_quota_of_ten() {
    let endings: Vec<_> = (0..11).map(|n| ending(n, "Verified")).collect();
    let apart = |ms: u64| -> Vec<_> {
        (0..11)
            .map(|n| submission(n, "111111", u64::from(n) * ms, "accepted"))
            .collect()
    };
    assert_eq!(violations(&endings, &apart(101), LIMIT), []);
    let found = violations(&endings, &apart(90), LIMIT);
    let (action, calls, limit) = (VERIFIED.to_owned(), 11, LIMIT);
    let exceeded = Violation::QuotaExceeded {
        action,
        calls,
        limit,
    };
    assert_eq!(found, [exceeded]);
}

#[test]
fn reads_have_a_quota_of_their_own() {
    let endings: Vec<_> = (0..6).map(|n| ending(n, "Verified")).collect();
    let ledger: Vec<_> = (0..6)
        .flat_map(|n| [read(n, 0), submission(n, "111111", 10, "accepted")])
        .collect();
    assert_eq!(violations(&endings, &ledger, LIMIT), []);
    let reads: Vec<_> = (0..11).map(|_| read(1, 0)).chain(ledger).collect();
    assert!(matches!(
        violations(&endings, &reads, LIMIT)[..],
        [Violation::QuotaExceeded { .. }]
    ));
}

#[test]
fn only_a_staged_throttle_is_forgiven() {
    let endings = [ending(1, "Verified")];
    let throttled = |faults: Value| {
        let mut call = call(VERIFIED, 1, Some("111111"), 0, "throttled");
        call["faults"] = faults;
        let ledger = [
            serde_json::from_value(call).unwrap(),
            submission(1, "111111", 4_000, "accepted"),
        ];
        violations(&endings, &ledger, LIMIT)
    };
    let staged = json!([{"id": 1, "fault":
        {"kind": "throttle", "ms": 1, "refusal": {"status": 400, "code": "Throttling.User"}}}]);
    assert_eq!(throttled(staged), []);
    assert_eq!(
        throttled(json!([])),
        [Violation::ThrottledByQuota { calls: 1 }]
    );
}

#[test]
fn whoever_never_got_anywhere_did_not_settle() {
    for reason in ["", "SecretNotFound", "Queued", "CodeRejected"] {
        let found = violations(&[ending(1, reason)], &[], LIMIT);
        let name = "tenant-a/store-1".to_owned();
        let reason = reason.to_owned();
        assert_eq!(found, [Violation::NotSettled { name, reason }]);
    }
}

#[test]
fn no_code_is_shown() {
    let ledger = [
        submission(1, "918273", 0, "accepted"),
        submission(1, "918273", 10, "refused"),
    ];
    let found = violations(&[ending(1, "Verifying")], &ledger, LIMIT);
    let text: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2);
    assert!(!text.join("\n").contains("918273"));
    assert!(!ledger_line(&ledger, LIMIT).contains("918273"));
}
