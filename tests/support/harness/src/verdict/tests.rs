//! Missing or wrong entries of CodeLedgers are found.

use cams_simulator::Decision::{self, Accepted, Refused, Throttled};
use serde_json::json;

use super::*;
use crate::rows::made_up_row;

const PHONE: &str = "8613800001234";

fn call(nonce: &str, decision: Decision) -> Entry {
    Entry {
        nonce: Some(nonce.to_owned()),
        ..made_up_row(VERIFIED, PHONE, Some("12345678"), decision, 1000)
    }
}

fn ledger(entries: &[(&str, Option<&str>)]) -> Value {
    let entries = entries.iter().map(|(id, outcome)| {
        json!({"attemptId": id, "outcome": outcome, "migration": {"uid": format!("of-{id}")}})
    });
    json!({"spec": {"phoneNumber": PHONE}, "entries": entries.collect::<Vec<_>>(),
        "released": ["left-out"]})
}

#[track_caller]
fn finds(words: Option<&str>, calls: &[Entry], entries: &[(&str, Option<&str>)], others: bool) {
    let found = ledger_fault(calls, &[ledger(entries)], others);
    let says = |words| found.as_ref().is_some_and(|f| f.starts_with(words));
    assert!(words.map_or(found.is_none(), says), "{words:?}: {found:?}");
}

#[test]
fn every_call_has_its_entry_and_one_is_open_at_most() {
    let (a, b) = (("a", Some("Refused")), ("b", None));
    let calls = [call("a", Refused), call("b", Accepted)];
    finds(None, &calls, &[a, b], false);
    finds(Some("no entry"), &calls, &[a], false);
    // Only the call of a number without a ledger may be another client's.
    finds(Some("no entry"), &calls, &[a], true);
    assert!(ledger_fault(&calls, &[], false).is_some());
    assert!(ledger_fault(&calls, &[], true).is_none());
    let open = ("c", Some("Unknown"));
    finds(Some("two open"), &calls, &[a, b, open], false);
    finds(Some("two open"), &calls, &[a, b, open], true);
}

#[test]
fn what_was_executed_is_not_released() {
    let released = ("a", Some("Throttled"));
    finds(None, &[call("a", Throttled)], &[released], false);
    finds(None, &[call("left-out", Throttled)], &[], false);
    let words = Some("a released entry");
    finds(words, &[call("a", Refused)], &[released], false);
    finds(words, &[call("left-out", Accepted)], &[], false);
    finds(words, &[call("left-out", Accepted)], &[], true);
}

#[test]
fn an_outcome_is_lost_only_to_the_resource_whose_code_it_was() {
    let object = |uid: &str, reason: &str| {
        let conditions = json!([{"type": "Finished", "status": "True"}]);
        json!({"metadata": {"name": "m", "uid": uid}, "spec": {"phoneNumber": PHONE},
            "status": {"reason": reason, "conditions": conditions}})
    };
    let ledgers = [ledger(&[("a", Some("Accepted"))])];
    let check = |uid: &str, ledgers: &[Value]| {
        let objects = [object(uid, "CodeRejected")];
        check_outcomes(&[call("a", Accepted)], &objects, ledgers, |_| None).is_ok()
    };
    assert!(check("of-b", &ledgers));
    assert!(!check("of-a", &ledgers));
    // Without a ledger entry, the call may be any resource's.
    assert!(!check("of-b", &[]));
}
