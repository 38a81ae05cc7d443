//! A status that agrees with the ledger, then each of its fields planted wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cams_simulator::{READ_STATUS, VERIFIED};
use serde_json::json;

use super::*;
use crate::rows::made_up_row;

const PHONE: &str = "8613800001234";
const TIME: &str = "2026-01-31T08:00:00Z";

fn row(seq: u64, action: &str, nonce: &str, decision: &str, code: &str) -> Value {
    let mut row = made_up_row(action, PHONE, Some("12345678"), decision, seq * 1000);
    row["seq"] = json!(seq);
    row["nonce"] = json!(nonce);
    row["requestId"] = json!(format!("request-{seq}"));
    row["replyCode"] = json!(code);
    row
}

fn call(seq: u64, decision: &str, code: &str) -> Value {
    row(seq, VERIFIED, &format!("attempt-{seq}"), decision, code)
}

fn conditions(reason: &str, truths: [&str; 4]) -> Value {
    let types = ["Ready", "Reconciling", "Stalled", "Finished"].into_iter();
    let one = |(type_, truth): (&str, &str)| json!({"type": type_, "status": truth, "reason": reason, "observedGeneration": 1});
    types.zip(truths).map(one).collect()
}

fn spent(seq: u64, outcome: &str, code: Option<&str>) -> Value {
    json!({"number": 1, "attemptId": format!("attempt-{seq}"), "outcome": outcome,
        "errorCode": code, "requestId": code.map(|_| format!("request-{seq}")),
        "finishedAt": TIME, "codeFingerprint": "f"})
}

fn attempt(seq: u64, number: u64, outcome: &str) -> Value {
    json!({"number": number, "id": format!("attempt-{seq}"), "outcome": outcome, "signedAt": TIME,
        "finishedAt": TIME, "codeFingerprint": "f", "generation": 1})
}

fn object(status: Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "m", "uid": "uid", "generation": 1,
            "annotations": {"phonemigration.dev/requestedAt": "now"}},
        "spec": {"phoneNumber": PHONE, "retryToken": "token"},
        "status": {"observedGeneration": 1, "attemptLimit": 5, "lastHandledReconcileAt": "now",
            "lastHandledRetryToken": "token"},
    });
    let more = status.as_object().unwrap().clone();
    object["status"].as_object_mut().unwrap().extend(more);
    object
}

/// Refused once, then accepted.
fn verified() -> (Value, Vec<Value>) {
    let truths = ["True", "False", "False", "True"];
    let status = json!({
        "reason": "Verified", "conditions": conditions("Verified", truths), "id": "id-1",
        "phoneNumber": "861380000****", "requestId": "request-2", "verifiedAt": TIME,
        "attempt": attempt(2, 2, "Accepted"),
        "history": [spent(1, "Refused", Some("VerifyCode.Mismatch"))],
    });
    let ledger = vec![
        call(1, "refused", "VerifyCode.Mismatch"),
        call(2, "accepted", "OK"),
        row(3, READ_STATUS, "read", "accepted", "OK"),
    ];
    (object(status), ledger)
}

fn stalled(reason: &str, outcome: &str, code: Option<&str>) -> Value {
    object(json!({
        "reason": reason,
        "conditions": conditions(reason, ["False", "False", "True", "True"]),
        "errorCode": code, "requestId": code.map(|_| "request-1"),
        "attempt": attempt(1, 1, outcome), "history": [spent(1, outcome, code)],
    }))
}

fn found(object: &Value, ledger: &[Value], verified: bool, heard: bool) -> Vec<String> {
    found_of(object, ledger, verified, heard, &|_| true)
}

fn found_of(
    object: &Value,
    ledger: &[Value],
    verified: bool,
    heard: bool,
    own: &dyn Fn(&Entry) -> bool,
) -> Vec<String> {
    let ledger: Vec<Entry> = ledger
        .iter()
        .map(|row| serde_json::from_value(row.clone()).unwrap())
        .collect();
    let truth = Truth {
        books: &Books::of(&ledger),
        id: Some("id-1"),
        verified,
        heard: &|_| heard,
        own,
    };
    disagreements(object, &truth)
}

#[track_caller]
fn one_says(found: &[String], words: &str) {
    assert!(
        found.iter().any(|f| f.contains(words)),
        "{words}: {found:?}"
    );
}

#[test]
fn what_agrees_is_not_complained_about() {
    let (object, ledger) = verified();
    assert_eq!(found(&object, &ledger, true, true), [""; 0]);
    let code = "VerifyCode.Mismatch";
    let rejected = stalled("CodeRejected", "Refused", Some(code));
    assert_eq!(
        found(&rejected, &[call(1, "refused", code)], false, true),
        [""; 0]
    );
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let mut lost = call(1, "refused", code);
    lost["delivery"] = json!("closed");
    assert_eq!(found(&unknown, &[lost], false, true), [""; 0]);
    assert_eq!(found(&unknown, &[], false, true), [""; 0]);
    let mut adopted = object;
    adopted["status"]["attempt"]["outcome"] = json!("Adopted");
    adopted["status"]["requestId"] = json!("request-3");
    assert_eq!(found(&adopted, &ledger, true, true), [""; 0]);
}

#[test]
fn each_field_planted_wrong_is_found() {
    for (path, value, words) in [
        ("/status/id", json!("id-2"), "the cloud's is id-1"),
        ("/status/id", Value::Null, "id is null"),
        ("/status/phoneNumber", json!(PHONE), "masked"),
        (
            "/status/requestId",
            json!("request-1"),
            "requestId is of no reply",
        ),
        ("/status/requestId", json!("request-3"), "not the call's"),
        ("/status/verifiedAt", Value::Null, "without verifiedAt"),
        ("/status/errorCode", json!("X"), "Verified with errorCode"),
        ("/status/nextAttemptAt", json!(TIME), "nextAttemptAt"),
        ("/status/observedGeneration", json!(0), "observedGeneration"),
        ("/status/lastHandledReconcileAt", json!("x"), "requestedAt"),
        ("/status/lastHandledRetryToken", json!("x"), "retryToken"),
        (
            "/status/conditions/0/status",
            json!("False"),
            "Ready is False",
        ),
        (
            "/status/conditions/1/status",
            json!("True"),
            "Reconciling is True",
        ),
        (
            "/status/conditions/3/status",
            json!("False"),
            "Finished is False",
        ),
        (
            "/status/conditions/2/reason",
            json!("Queued"),
            "another state",
        ),
        (
            "/status/conditions/2/observedGeneration",
            json!(0),
            "another state",
        ),
        ("/status/attempt/number", json!(3), "attempt 3 after 1"),
        (
            "/status/attempt/outcome",
            json!("Refused"),
            "Refused in status",
        ),
        (
            "/status/attempt/outcome",
            json!("UnknownFinal"),
            "UnknownFinal in status",
        ),
        (
            "/status/attempt/outcome",
            json!("NotSent"),
            "NotSent in status",
        ),
        ("/status/attempt/outcome", Value::Null, "Accepted (row 2)"),
        (
            "/status/attempt/signedAt",
            json!("2026-01-31T08:00:01Z"),
            "signed at",
        ),
        ("/status/attempt/id", json!("attempt-9"), "never received"),
        (
            "/status/attempt/id",
            json!("attempt-9"),
            "execution 2 is in no field",
        ),
        (
            "/status/history/0/outcome",
            json!("UnknownFinal"),
            "history 1: UnknownFinal",
        ),
        (
            "/status/history/0/errorCode",
            json!("X"),
            "errorCode is not the reply's",
        ),
        (
            "/status/history/0/requestId",
            json!("X"),
            "requestId is not the reply's",
        ),
        ("/status/history/0/number", json!(2), "history counts [2]"),
        (
            "/status/history/0/attemptId",
            json!("x"),
            "execution 1 is in no field",
        ),
        ("/status/history", json!([]), "execution 1 is in no field"),
        ("/status/reason", json!("CodeRejected"), "outcome lost"),
        ("/status/reason", json!("Queued"), "not settled: Queued"),
    ] {
        let (mut object, ledger) = verified();
        let status = object["status"].as_object_mut().unwrap();
        for field in ["errorCode", "nextAttemptAt"] {
            status.insert(field.to_owned(), Value::Null);
        }
        *object.pointer_mut(path).unwrap() = value;
        one_says(&found(&object, &ledger, true, true), words);
    }
}

#[test]
fn a_refusal_that_was_heard_is_not_unknown() {
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let ledger = [call(1, "refused", "VerifyCode.Mismatch")];
    one_says(
        &found(&unknown, &ledger, false, true),
        "UnknownFinal in status",
    );
    assert_eq!(found(&unknown, &ledger, false, false), [""; 0]);
}

#[test]
fn a_refusal_that_nobody_heard_cannot_be_told() {
    let code = "VerifyCode.Mismatch";
    let rejected = stalled("CodeRejected", "Refused", Some(code));
    let mut lost = call(1, "refused", code);
    lost["delivery"] = json!("reset");
    one_says(&found(&rejected, &[lost], false, true), "Refused in status");
    let mut replaced = call(1, "refused", code);
    replaced["faults"] = json!([{"id": 1, "fault":
        {"kind": "answer", "at": "executed", "answer": {"is": "html", "status": 200}}}]);
    one_says(
        &found(&rejected, &[replaced], false, true),
        "Refused in status",
    );
    // The reply belongs to its request, so another number in it changes nothing.
    let mut other = call(1, "refused", code);
    other["faults"] = json!([{"id": 1, "fault": {"kind": "otherPhone", "phone": "49"}}]);
    assert_eq!(found(&rejected, &[other], false, true), [""; 0]);
}

/// A reply that spells the number otherwise is an acceptance, and status shows that spelling.
#[test]
fn another_spelling_of_the_number_is_shown_as_the_reply_has_it() {
    let (mut object, mut ledger) = verified();
    object["status"]["phoneNumber"] = json!("491511234****");
    one_says(&found(&object, &ledger, true, true), "phoneNumber");
    ledger[0]["faults"] =
        json!([{"id": 1, "fault": {"kind": "otherPhone", "phone": "4915112345678"}}]);
    assert_eq!(found(&object, &ledger, true, true), [""; 0]);
}

#[test]
fn lost_and_false_successes_are_found() {
    let unknown = stalled("OutcomeUnknown", "UnknownFinal", None);
    let mut lost = call(1, "accepted", "OK");
    lost["delivery"] = json!("closed");
    one_says(&found(&unknown, &[lost], true, false), "outcome lost");
    let (object, ledger) = verified();
    one_says(&found(&object, &ledger, false, true), "false success");
}

/// Another resource of the number submitted the code that is in the Secret.
#[test]
fn what_another_resource_submitted_is_told_as_it_was() {
    let code = "VerifyCode.Mismatch";
    let mut object = stalled("CodeRejected", "Refused", Some(code));
    let status = object["status"].as_object_mut().unwrap();
    status.remove("attempt");
    status.remove("history");
    let refused = [call(1, "refused", code)];
    let found = |object: &Value, ledger: &[Value], verified: bool| {
        found_of(object, ledger, verified, true, &|_| false)
    };
    assert_eq!(found(&object, &refused, false), [""; 0]);
    one_says(&found(&object, &[], false), "CodeRejected after");
    let lost = [call(1, "rejected", "Throttling.User")];
    one_says(&found(&object, &lost, false), "CodeRejected after");
    object["status"]["requestId"] = json!("request-2");
    one_says(&found(&object, &refused, false), "requestId is not that");
    // Its success belongs to it alone.
    object["status"]["errorCode"] = Value::Null;
    object["status"]["requestId"] = Value::Null;
    let accepted = [call(1, "accepted", "OK")];
    assert_eq!(found(&object, &accepted, true), [""; 0]);
}

#[test]
fn an_earlier_code_that_was_put_back_is_told_as_it_was() {
    let code = "VerifyCode.Mismatch";
    let mut object = stalled("CodeRejected", "Refused", Some(code));
    let mut newest = spent(2, "Refused", Some(code));
    newest["number"] = json!(2);
    let earlier = spent(1, "Refused", Some(code));
    object["status"]["history"] = json!([newest, earlier]);
    object["status"]["attempt"] = attempt(2, 2, "Refused");
    let ledger = [call(1, "refused", code), call(2, "refused", code)];
    assert_eq!(found(&object, &ledger, false, true), [""; 0]);
    object["status"]["requestId"] = json!("request-3");
    one_says(
        &found(&object, &ledger, false, true),
        "requestId is not that",
    );
}

#[test]
fn two_requests_of_one_attempt_are_found() {
    let (object, mut ledger) = verified();
    ledger.push(row(
        4,
        VERIFIED,
        "attempt-2",
        "rejected",
        "SignatureNonceUsed",
    ));
    one_says(&found(&object, &ledger, true, true), "sent 2 times");
}

#[test]
fn more_codes_than_allowed_and_too_few_for_exhaustion_are_found() {
    let code = Some("VerifyCode.Mismatch");
    let ledger = [call(1, "refused", "VerifyCode.Mismatch")];
    let exhausted = stalled("AttemptsExhausted", "Refused", code);
    one_says(
        &found(&exhausted, &ledger, false, true),
        "1 codes spent of 5",
    );
    let mut over = stalled("CodeRejected", "Refused", code);
    over["status"]["attemptLimit"] = json!(0);
    one_says(&found(&over, &ledger, false, true), "1 codes spent of 0");
}
