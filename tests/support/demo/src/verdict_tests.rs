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
    assert_eq!(violations(&endings, &ledger), []);
}

#[test]
fn a_code_executed_twice_is_found() {
    let ledger = [
        submission(1, "111111", 0, "accepted"),
        submission(1, "111111", 5_000, "refused"),
    ];
    let found = violations(&[ending(1, "Verified")], &ledger);
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
    assert_eq!(violations(&endings, &ledger), []);
}

#[test]
fn an_accepted_code_without_its_id_in_status_is_a_lost_outcome() {
    let ledger = [submission(1, "111111", 0, "accepted")];
    for reason in ["OutcomeUnknown", "CodeRejected", "Queued", ""] {
        let found = violations(&[ending(1, reason)], &ledger);
        let name = "tenant-a/store-1".to_owned();
        let reason = reason.to_owned();
        assert_eq!(found, [Violation::OutcomeLost { name, reason }]);
    }
    let other_id = Ending {
        id: "id-of-another".to_owned(),
        ..ending(1, "Verified")
    };
    assert!(matches!(
        violations(&[other_id], &ledger)[..],
        [Violation::OutcomeLost { .. }]
    ));
}

#[test]
fn a_success_that_the_cloud_knows_nothing_of_is_found() {
    let found = violations(&[ending(1, "Verified")], &[read(1, 0)]);
    let name = "tenant-a/store-1".to_owned();
    assert_eq!(found, [Violation::FalseSuccess { name }]);
}

/// `throttled` submissions of one number, then one that is accepted.
fn throttled(throttled: u32, faults: &Value) -> Vec<Entry> {
    let mut ledger: Vec<Entry> = (0..throttled)
        .map(|n| {
            let mut call = call(VERIFIED, 1, Some("111111"), u64::from(n), "throttled");
            call["faults"] = faults.clone();
            serde_json::from_value(call).unwrap()
        })
        .collect();
    ledger.push(submission(1, "111111", 4_000, "accepted"));
    ledger
}

#[test]
fn a_busy_machine_excuses_few_throttles_and_the_line_tells_them() {
    let endings = [ending(1, "Verified")];
    let ledger = throttled(2, &json!([]));
    assert_eq!(violations(&endings, &ledger), []);
    let line = ledger_line(&ledger, LIMIT);
    assert!(
        line.ends_with("; 2 throttled, 2 of them by the quota"),
        "{line}"
    );
    let ledger = throttled(3, &json!([]));
    let (calls, throttled, most) = (4, 3, 2);
    let exceeded = Violation::QuotaExceeded(Throttles {
        calls,
        throttled,
        most,
    });
    assert_eq!(
        exceeded.to_string(),
        "outside the staged spell 3 of 4 calls were throttled, 2 may be"
    );
    assert_eq!(violations(&endings, &ledger), [exceeded]);
}

#[test]
fn a_staged_throttle_is_forgiven() {
    let staged = json!([{"id": 1, "fault":
        {"kind": "throttle", "ms": 1, "refusal": {"status": 400, "code": "Throttling.User"}}}]);
    let ledger = throttled(30, &staged);
    assert_eq!(violations(&[ending(1, "Verified")], &ledger), []);
    let line = ledger_line(&ledger, LIMIT);
    assert!(
        line.ends_with("; 30 throttled, 0 of them by the quota"),
        "{line}"
    );
}

#[test]
fn whoever_never_got_anywhere_did_not_settle() {
    for reason in ["", "SecretNotFound", "Queued", "CodeRejected"] {
        let found = violations(&[ending(1, reason)], &[]);
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
    let found = violations(&[ending(1, "Queued")], &ledger);
    let text: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2);
    assert!(!text.join("\n").contains("918273"));
    assert!(!ledger_line(&ledger, LIMIT).contains("918273"));
}
