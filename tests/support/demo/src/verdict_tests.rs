//! Each promise, kept and broken. What a status may say is tested with [`harness::agreement`].

use harness::cams_simulator::Decision::{Accepted, Throttled};
use harness::cams_simulator::{Decision, Fault, Met, READ_STATUS, Refusal};
use harness::{made_up_row, made_up_verified};
use serde_json::json;

use super::*;
use crate::cast::cast;

const CODE: &str = "918273";

/// A submission of the first role's number.
fn submission(at_ms: u64, decision: Decision) -> Entry {
    let phone = cast().remove(0).phone;
    Entry {
        nonce: Some(format!("n{at_ms}")),
        ..made_up_row(VERIFIED, &phone, Some(CODE), decision, at_ms * 1000)
    }
}

/// What is broken in a play of the first role that ended like this, according to this ledger.
fn broken(reason: &str, ledger: &[Entry]) -> Vec<String> {
    let role = cast().remove(0);
    let of_call = |row: &&Entry| row.action == VERIFIED && row.decision == Accepted;
    let call = ledger.iter().find(of_call);
    let object = |call: &Entry| {
        let mut object = made_up_verified(&role.name, call, &role.id);
        object["status"]["reason"] = json!(reason);
        object
    };
    let objects: Vec<Value> = call.map(object).into_iter().collect();
    let number = Number::new(&role.phone, &role.code, &role.id).verified();
    violations(&[role], &objects, ledger, &[number])
}

/// Throttled so often, and accepted at last.
fn throttled(times: u64, faults: &[Met]) -> Vec<Entry> {
    let throttled = |n| Entry {
        faults: faults.to_vec(),
        ..submission(n, Throttled)
    };
    let mut ledger: Vec<Entry> = (0..times).map(throttled).collect();
    ledger.push(submission(4_000, Accepted));
    ledger
}

#[test]
fn a_good_morning_breaks_no_promise() {
    let phone = cast().remove(0).phone;
    let read = made_up_row(READ_STATUS, &phone, None, Accepted, 0);
    let ledger = [read, submission(100, Accepted)];
    assert_eq!(broken("Verified", &ledger), [""; 0]);
}

#[test]
fn whoever_is_not_verified_did_not_settle_and_nothing_shows_a_code() {
    let twice = [submission(0, Accepted), submission(5_000, Accepted)];
    let found = broken("Queued", &twice).join("\n");
    for words in ["TWICE", "outcome lost", "not settle in time, it is Queued"] {
        assert!(found.contains(words), "{words}: {found}");
    }
    assert!(!found.contains(CODE), "{found}");
    assert!(!ledger_line(&twice, 10).contains(CODE));
    let missing = "tenant-a/store-01: did not settle in time, it is without a status";
    assert_eq!(broken("", &[]), [missing]);
}

#[test]
fn a_busy_machine_excuses_few_throttles_and_a_staged_spell_all_of_them() {
    let refusal = Refusal::new(400, "Throttling.User", "");
    let fault = Fault::Throttle { ms: 1, refusal };
    let staged = [Met { id: 1, fault }];
    let exceeded = "outside the staged spell 3 of 4 calls were throttled, 2 may be";
    for (times, faults, violations, line) in [
        (2, &[][..], &[][..], "; 2 throttled, 2 of them by the quota"),
        (3, &[], &[exceeded], "; 3 throttled, 3 of them by the quota"),
        (30, &staged, &[], "; 30 throttled, 0 of them by the quota"),
    ] {
        let ledger = throttled(times, faults);
        assert_eq!(broken("Verified", &ledger), violations, "{times}");
        let told = ledger_line(&ledger, 10);
        assert!(told.ends_with(line), "{told}");
    }
}
