//! Rows of a ledger and a resource, made up for tests of verdicts. PURE.

use cams_simulator::{Decision, Delivery, Entry};
use serde_json::{Value, json};

/// When everything made up was signed and verified.
const TIME: &str = "2026-01-31T08:00:00Z";

/// A request that arrived, was counted and, if `decision` says so, executed at `at_us`, and was
/// answered in whole with OK half a millisecond later. The test sets the rest.
pub fn made_up_row(
    action: &str,
    phone: &str,
    code: Option<&str>,
    decision: Decision,
    at_us: u64,
) -> Entry {
    let executed = matches!(decision, Decision::Accepted | Decision::Refused);
    Entry {
        seq: 1,
        arrived_us: at_us,
        arrived_at: TIME.parse().unwrap_or_default(),
        action: action.to_owned(),
        phone: Some(phone.to_owned()),
        code: code.map(str::to_owned),
        nonce: Some("n".to_owned()),
        timestamp: Some(TIME.to_owned()),
        counted_us: Some(at_us),
        executed_us: executed.then_some(at_us),
        decision,
        request_id: "r".to_owned(),
        reply_status: Some(200),
        reply_code: Some("OK".to_owned()),
        delivery: Delivery::Complete,
        replied_us: Some(at_us + 500),
        ..Entry::default()
    }
}

/// A resource whose first code, submitted by `call`, was accepted.
pub fn made_up_verified(name: &str, call: &Entry, id: &str) -> Value {
    let phone = call.phone.clone().unwrap_or_default();
    let masked = phone.get(..phone.len() - 4).unwrap_or_default();
    let truths = ["True", "False", "False", "True"];
    json!({
        "metadata": {"name": name, "namespace": "tenant-a", "uid": "uid", "generation": 1,
            "annotations": {"phonemigration.dev/requestedAt": "now"}},
        "spec": {"phoneNumber": phone, "retryToken": "token"},
        "status": {"observedGeneration": 1, "attemptLimit": 5, "lastHandledReconcileAt": "now",
            "lastHandledRetryToken": "token", "phoneNumber": format!("{masked}****"),
            "reason": "Verified", "conditions": made_up_conditions("Verified", truths),
            "id": id, "requestId": call.request_id, "verifiedAt": TIME,
            "attempt": {"number": 1, "id": call.nonce, "outcome": "Accepted", "signedAt": TIME,
                "finishedAt": TIME, "codeFingerprint": "f", "generation": 1}},
    })
}

/// Ready, Reconciling, Stalled, Finished.
pub(crate) fn made_up_conditions(reason: &str, truths: [&str; 4]) -> Value {
    let types = ["Ready", "Reconciling", "Stalled", "Finished"].into_iter();
    let one = |(type_, truth): (&str, &str)| json!({"type": type_, "status": truth, "reason": reason, "observedGeneration": 1});
    types.zip(truths).map(one).collect()
}
