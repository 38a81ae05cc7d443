//! Rows of a ledger made up for tests of verdicts. PURE.

use serde_json::{Value, json};

/// A row as JSON: a request that arrived, was counted and, if `decision` says so, executed at
/// `at_us`, and was answered in whole with OK half a millisecond later. The test sets the rest.
pub fn made_up_row(
    action: &str,
    phone: &str,
    code: Option<&str>,
    decision: &str,
    at_us: u64,
) -> Value {
    let executed = matches!(decision, "accepted" | "refused");
    json!({
        "seq": 1, "arrivedUs": at_us, "arrivedAt": "2026-01-31T08:00:00Z",
        "connection": 1, "requestOnConnection": 1, "method": "POST", "algorithm": "v1",
        "signatureOk": true, "account": "account", "keyId": "key", "action": action,
        "phone": phone, "custSpaceId": "1", "code": code, "nonce": "n",
        "timestamp": "2026-01-31T08:00:00Z",
        "countedUs": at_us, "executedUs": executed.then_some(at_us),
        "decision": decision, "faults": [], "requestId": "r", "replyStatus": 200,
        "replyCode": "OK", "delivery": "complete", "repliedUs": at_us + 500,
    })
}
