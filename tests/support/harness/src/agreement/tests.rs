//! A status that agrees with the ledger, then each of its fields planted wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cams_simulator::Decision::{Accepted, Refused, Rejected};
use cams_simulator::{Answer, Delivery, Met, READ_STATUS, Stage, VERIFIED};
use serde_json::json;

use super::*;
use crate::rows::{made_up_conditions, made_up_row, made_up_verified};

const PHONE: &str = "8613800001234";
const TIME: &str = "2026-01-31T08:00:00Z";
const WRONG: &str = "VerifyCode.Mismatch";

fn row(seq: u64, action: &str, nonce: &str, decision: Decision, code: &str) -> Entry {
    Entry {
        seq,
        nonce: Some(nonce.to_owned()),
        request_id: format!("request-{seq}"),
        reply_code: Some(code.to_owned()),
        // Each row has a code of its own.
        ..made_up_row(
            action,
            PHONE,
            Some(&format!("1234567{seq}")),
            decision,
            seq * 1000,
        )
    }
}

fn call(seq: u64, decision: Decision, code: &str) -> Entry {
    row(seq, VERIFIED, &format!("attempt-{seq}"), decision, code)
}

/// A refused call that met this fault after its execution.
fn refused_with(fault: Fault) -> Entry {
    Entry {
        faults: vec![Met { id: 1, fault }],
        ..call(1, Refused, WRONG)
    }
}

/// A call whose reply left like this.
fn left(delivery: Delivery, decision: Decision) -> Entry {
    Entry {
        delivery,
        ..call(1, decision, WRONG)
    }
}

fn spent(seq: u64, outcome: &str, code: Option<&str>) -> Value {
    json!({"number": 1, "attemptId": format!("attempt-{seq}"), "outcome": outcome,
        "errorCode": code, "requestId": code.map(|_| format!("request-{seq}")),
        "finishedAt": TIME, "codeFingerprint": "f"})
}

/// Refused once, then accepted.
fn verified() -> (Value, Vec<Entry>) {
    let ledger = vec![
        call(1, Refused, WRONG),
        call(2, Accepted, "OK"),
        row(3, READ_STATUS, "read", Accepted, "OK"),
    ];
    let mut object = made_up_verified("m", &ledger[1], "id-1");
    object["status"]["history"] = json!([spent(1, "Refused", Some(WRONG))]);
    object["status"]["attempt"]["number"] = json!(2);
    (object, ledger)
}

/// The first code had this outcome.
fn stalled(reason: &str, outcome: &str, code: Option<&str>) -> Value {
    let mut object = made_up_verified("m", &call(1, Refused, WRONG), "id-1");
    let status = object["status"].as_object_mut().unwrap();
    status.retain(|field, _| !["id", "verifiedAt"].contains(&field.as_str()));
    let truths = ["False", "False", "True", "True"];
    for (field, value) in [
        ("reason", json!(reason)),
        ("conditions", made_up_conditions(reason, truths)),
        ("errorCode", json!(code)),
        ("requestId", json!(code.map(|_| "request-1"))),
        ("history", json!([spent(1, outcome, code)])),
    ] {
        status.insert(field.to_owned(), value);
    }
    status["attempt"]["outcome"] = json!(outcome);
    object
}

/// What is wrong if the cloud has the number like this, and every reply was `heard`.
fn found(object: &Value, ledger: &[Entry], verified: bool, heard: bool) -> Vec<String> {
    found_of(object, ledger, verified, heard, true)
}

fn found_of(
    object: &Value,
    ledger: &[Entry],
    verified: bool,
    heard: bool,
    own: bool,
) -> Vec<String> {
    let number = Number::new(PHONE, "", "id-1");
    let number = if verified { number.verified() } else { number };
    let run = Run {
        ledger,
        objects: std::slice::from_ref(object),
        numbers: &[number],
        heard: &|_| heard,
        own: &|_, uid| own && uid == "uid",
    };
    run.broken().into_iter().map(|broken| broken.what).collect()
}

#[track_caller]
fn one_says(found: &[String], words: &str) {
    let says = found.iter().any(|f| f.contains(words));
    assert!(says, "{words}: {found:?}");
}

#[test]
fn what_agrees_is_not_complained_about() {
    let (object, ledger) = verified();
    assert_eq!(found(&object, &ledger, true, true), [""; 0]);
    let rejected = stalled("CodeRejected", "Refused", Some(WRONG));
    let refused = [call(1, Refused, WRONG)];
    assert_eq!(found(&rejected, &refused, false, true), [""; 0]);
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let lost = [left(Delivery::Closed, Refused)];
    assert_eq!(found(&unknown, &lost, false, true), [""; 0]);
    assert_eq!(found(&unknown, &[], false, true), [""; 0]);
    let mut adopted = object;
    adopted["status"]["attempt"]["outcome"] = json!("Adopted");
    adopted["status"]["requestId"] = json!("request-3");
    assert_eq!(found(&adopted, &ledger, true, true), [""; 0]);
}

#[test]
fn each_field_planted_wrong_is_found() {
    let word = |word: &str| json!(word);
    for (path, value, words) in [
        ("id", word("id-2"), "the cloud's is id-1"),
        ("id", Value::Null, "id is null"),
        ("phoneNumber", word(PHONE), "masked"),
        ("requestId", word("request-1"), "requestId is of no reply"),
        ("requestId", word("request-3"), "not the call's"),
        ("verifiedAt", Value::Null, "without verifiedAt"),
        ("errorCode", word("X"), "Verified with errorCode"),
        ("nextAttemptAt", word(TIME), "nextAttemptAt"),
        ("observedGeneration", json!(0), "observedGeneration"),
        ("lastHandledReconcileAt", word("x"), "requestedAt"),
        ("lastHandledRetryToken", word("x"), "retryToken"),
        ("conditions/0/status", word("False"), "Ready is False"),
        ("conditions/1/status", word("True"), "Reconciling is True"),
        ("conditions/3/status", word("False"), "Finished is False"),
        ("conditions/2/reason", word("Queued"), "another state"),
        ("conditions/2/observedGeneration", json!(0), "another state"),
        ("attempt/number", json!(3), "attempt 3 after 1"),
        ("attempt/outcome", word("Refused"), "Refused in status"),
        ("attempt/outcome", word("UnknownFinal"), "UnknownFinal in s"),
        ("attempt/outcome", word("NotSent"), "NotSent in status"),
        ("attempt/outcome", Value::Null, "Accepted (row 2)"),
        ("attempt/signedAt", word("2026-01-31"), "signed at"),
        ("attempt/id", word("attempt-9"), "never received"),
        (
            "attempt/id",
            word("attempt-9"),
            "execution 2 is in no field",
        ),
        (
            "history/0/outcome",
            word("UnknownFinal"),
            "y 1: UnknownFinal",
        ),
        (
            "history/0/errorCode",
            word("X"),
            "errorCode is not the reply's",
        ),
        (
            "history/0/requestId",
            word("X"),
            "requestId is not the reply's",
        ),
        ("history/0/number", json!(2), "history counts [2]"),
        (
            "history/0/attemptId",
            word("x"),
            "execution 1 is in no field",
        ),
        ("history", json!([]), "execution 1 is in no field"),
        ("reason", word("CodeRejected"), "outcome lost"),
        ("reason", word("Queued"), "not settled: Queued"),
    ] {
        let (mut object, ledger) = verified();
        let status = object["status"].as_object_mut().unwrap();
        for field in ["errorCode", "nextAttemptAt"] {
            status.insert(field.to_owned(), Value::Null);
        }
        *object.pointer_mut(&format!("/status/{path}")).unwrap() = value;
        one_says(&found(&object, &ledger, true, true), words);
    }
}

#[test]
fn a_refusal_that_was_heard_is_not_unknown() {
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let ledger = [call(1, Refused, WRONG)];
    let heard = found(&unknown, &ledger, false, true);
    one_says(&heard, "UnknownFinal in status");
    assert_eq!(found(&unknown, &ledger, false, false), [""; 0]);
}

#[test]
fn a_refusal_that_nobody_heard_cannot_be_told() {
    let rejected = stalled("CodeRejected", "Refused", Some(WRONG));
    let page = Answer::Html { status: 200 };
    for row in [
        left(Delivery::Reset, Refused),
        refused_with(Fault::answer(Stage::Executed, page)),
    ] {
        one_says(&found(&rejected, &[row], false, true), "Refused in status");
    }
    // The reply belongs to its request, so another number in it changes nothing.
    let phone = "49".to_owned();
    let other = refused_with(Fault::OtherPhone { phone });
    assert_eq!(found(&rejected, &[other], false, true), [""; 0]);
}

/// A reply that spells the number otherwise is an acceptance, and status shows that spelling.
#[test]
fn another_spelling_of_the_number_is_shown_as_the_reply_has_it() {
    let (mut object, mut ledger) = verified();
    object["status"]["phoneNumber"] = json!("491511234****");
    one_says(&found(&object, &ledger, true, true), "phoneNumber");
    let phone = "4915112345678".to_owned();
    ledger[0] = refused_with(Fault::OtherPhone { phone });
    assert_eq!(found(&object, &ledger, true, true), [""; 0]);
}

#[test]
fn lost_and_false_successes_are_found() {
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let lost = [left(Delivery::Closed, Accepted)];
    one_says(&found(&unknown, &lost, true, false), "outcome lost");
    let (object, ledger) = verified();
    one_says(&found(&object, &ledger, false, true), "false success");
}

/// Another resource of the number submitted the code that is in the Secret.
#[test]
fn what_another_resource_submitted_is_told_as_it_was() {
    let mut object = stalled("CodeRejected", "Refused", Some(WRONG));
    let status = object["status"].as_object_mut().unwrap();
    status.remove("attempt");
    status.remove("history");
    let refused = [call(1, Refused, WRONG)];
    let found = |object: &Value, ledger: &[Entry], verified: bool| {
        found_of(object, ledger, verified, true, false)
    };
    assert_eq!(found(&object, &refused, false), [""; 0]);
    one_says(&found(&object, &[], false), "CodeRejected after");
    let lost = [call(1, Rejected, "Throttling.User")];
    one_says(&found(&object, &lost, false), "CodeRejected after");
    object["status"]["requestId"] = json!("request-2");
    one_says(&found(&object, &refused, false), "requestId is not that");
    // Its success belongs to it alone.
    object["status"]["errorCode"] = Value::Null;
    object["status"]["requestId"] = Value::Null;
    let accepted = [call(1, Accepted, "OK")];
    assert_eq!(found(&object, &accepted, true), [""; 0]);
}

#[test]
fn an_earlier_code_that_was_put_back_is_told_as_it_was() {
    let mut object = stalled("CodeRejected", "Refused", Some(WRONG));
    let mut newest = spent(2, "Refused", Some(WRONG));
    newest["number"] = json!(2);
    object["status"]["history"] = json!([newest, spent(1, "Refused", Some(WRONG))]);
    object["status"]["attempt"]["id"] = json!("attempt-2");
    object["status"]["attempt"]["number"] = json!(2);
    let ledger = [call(1, Refused, WRONG), call(2, Refused, WRONG)];
    assert_eq!(found(&object, &ledger, false, true), [""; 0]);
    object["status"]["requestId"] = json!("request-3");
    let other = found(&object, &ledger, false, true);
    one_says(&other, "requestId is not that");
}

#[test]
fn a_code_executed_twice_and_two_requests_of_one_attempt_are_found() {
    let (object, mut ledger) = verified();
    ledger.push(row(
        4,
        VERIFIED,
        "attempt-2",
        Rejected,
        "SignatureNonceUsed",
    ));
    let twice = found(&object, &ledger, true, true);
    one_says(&twice, "sent 2 times");
    one_says(&twice, "the request of attempt attempt-2 arrived 2 times");
    let mut again = call(5, Refused, WRONG);
    again.code.clone_from(&ledger[1].code);
    ledger.push(again);
    let twice = found(&object, &ledger, true, true);
    one_says(&twice, "tenant-a/m: EXECUTED TWICE: one code, 2 times");
    // The same code of another number is no repetition, and no code is shown.
    ledger[4].phone = Some("49".to_owned());
    let one = found(&object, &ledger, true, true);
    assert!(!one.iter().any(|f| f.contains("TWICE")), "{one:?}");
    assert!(!twice.join("\n").contains("1234567"), "{twice:?}");
}

#[test]
fn more_codes_than_allowed_and_too_few_for_exhaustion_are_found() {
    let ledger = [call(1, Refused, WRONG)];
    let exhausted = stalled("AttemptsExhausted", "Refused", Some(WRONG));
    let few = found(&exhausted, &ledger, false, true);
    one_says(&few, "1 codes spent of 5");
    let mut over = stalled("CodeRejected", "Refused", Some(WRONG));
    over["status"]["attemptLimit"] = json!(0);
    one_says(&found(&over, &ledger, false, true), "1 codes spent of 0");
}
