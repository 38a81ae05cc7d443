//! The rules for the ledger and the status, for any script.

use std::collections::BTreeMap;

use harness::cams_simulator::{Decision, Delivery};

use super::model::{Model, Number};
use super::*;

/// The number itself.
pub fn phone(n: usize) -> String {
    format!("86138{n:08}")
}

/// A code of a number; eight digits, so that the final check finds it in logs, Events and
/// resources.
pub fn digits(n: usize, code: u8) -> String {
    format!("7391{n:02}{code:02}")
}

/// The Id of a number.
pub fn id(n: usize) -> String {
    format!("id-{}", phone(n))
}

/// The submissions of a number, in order.
fn submissions(ledger: &[Entry], n: usize) -> Vec<&Entry> {
    let phone = phone(n);
    let about = |e: &&Entry| e.action == VERIFIED && e.phone.as_ref() == Some(&phone);
    ledger.iter().filter(about).collect()
}

/// True once a code arrived.
pub fn was_submitted(ledger: &[Entry], n: usize, code: u8) -> bool {
    let code = digits(n, code);
    submissions(ledger, n)
        .iter()
        .any(|e| e.code.as_ref() == Some(&code))
}

/// False only for a call that CAMS is known not to have executed.
fn may_be_executed(entry: &Entry) -> bool {
    match entry.decision {
        Decision::Rejected | Decision::Throttled => false,
        Decision::Pending
        | Decision::Answered
        | Decision::Dropped
        | Decision::Accepted
        | Decision::Refused => true,
    }
}

/// The rules that hold at every moment.
pub fn always(model: &Model, ledger: &[Entry]) -> Result<(), String> {
    for (n, number) in model.numbers.iter().enumerate() {
        let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
        for entry in submissions(ledger, n) {
            let code = entry.code.as_deref().unwrap_or_default();
            if !number.free.iter().any(|free| digits(n, *free) == code) {
                return Err(format!(
                    "number {n}: a code that nobody was free to submit: {entry:?}"
                ));
            }
            if may_be_executed(entry) {
                *sent.entry(code).or_default() += 1;
            }
        }
        if let Some((code, count)) = sent.iter().find(|(_, count)| **count > 1) {
            return Err(format!("number {n}: {code} was submitted {count} times"));
        }
    }
    Ok(())
}

/// The state that a resource reaches once no fault disturbs it any more.
pub fn at_rest(model: &Model, n: usize, ledger: &[Entry], status: &Value) -> Result<(), String> {
    let number = &model.numbers[n];
    let calls = submissions(ledger, n);
    let no = |why: &str| Err(format!("number {n}: {why}: {status}"));
    let reason = harness::reason(status);
    if calls.iter().any(|e| e.decision == Decision::Pending) {
        return no("a call is under way");
    }
    let accepted = calls.iter().any(|e| e.decision == Decision::Accepted);
    match (reason == "Verified", accepted) {
        (true, false) => return no("a success without one"),
        (true, true) if status["id"] == id(n) => return Ok(()),
        (true, true) => return no("verified without its Id"),
        (false, true) if !may_wait(number, reason) => return no("accepted, and not Verified"),
        (false, true) => return Ok(()),
        (false, false) => {}
    }
    let finished = harness::condition(status, "Finished") == "True";
    if reason == "CodeRejected" && !calls.iter().any(|e| e.decision == Decision::Refused) {
        return no("a refusal without one");
    }
    let open = matches!(
        status["attempt"]["outcome"].as_str(),
        None | Some("Unknown")
    );
    if open && status["attempt"].is_object() {
        return no("an attempt is open");
    }
    match number.code {
        _ if number.suspended && (finished || reason == "Suspended") => Ok(()),
        _ if number.suspended => no("not suspended"),
        None if finished || reason == "SecretNotFound" => Ok(()),
        None => no("there is no Secret"),
        Some(code) => {
            with_code(model, &calls, &digits(n, code), status, finished).or_else(|why| no(&why))
        }
    }
}

/// Another resource had verified the number: a suspended resource, or one without a code, does not
/// read its status.
fn may_wait(number: &Number, reason: &str) -> bool {
    number.recreated
        && ((number.suspended && reason == "Suspended")
            || (number.code.is_none() && reason == "SecretNotFound"))
}

/// Nothing was accepted, and a code exists.
fn with_code(
    model: &Model,
    calls: &[&Entry],
    code: &str,
    status: &Value,
    finished: bool,
) -> Result<(), String> {
    let reason = harness::reason(status);
    let spent = calls
        .iter()
        .any(|e| e.code.as_deref() == Some(code) && may_be_executed(e));
    if !spent {
        // Claimed, and the process died before the send: no other process may send it.
        let id = status["attempt"]["id"].as_str();
        let arrived = calls.iter().any(|e| e.nonce.as_deref() == id);
        let unsent = reason == "OutcomeUnknown" && finished && !arrived;
        return if model.disturbed && unsent {
            Ok(())
        } else {
            Err("its code was not submitted".to_owned())
        };
    }
    if !finished || !["CodeRejected", "OutcomeUnknown"].contains(&reason) {
        return Err("its code is spent".to_owned());
    }
    let last = calls.iter().rfind(|e| may_be_executed(e));
    let told = last.is_some_and(|e| {
        e.decision == Decision::Refused && e.delivery == Delivery::Complete && e.faults.is_empty()
    });
    if told && !model.disturbed && reason != "CodeRejected" {
        return Err("the refusal was answered".to_owned());
    }
    Ok(())
}
