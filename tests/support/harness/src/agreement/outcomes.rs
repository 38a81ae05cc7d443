//! The outcome of each attempt against the row of its request. PURE.

use cams_simulator::{Decision, Entry};
use serde_json::Value;

use super::{Truth, history, is_finished, phone_of};
use crate::books::replied;
use crate::world::reason;

/// One attempt as status tells it: the current one, or an entry of history.
struct Said<'a> {
    id: &'a str,
    outcome: &'a str,
    error_code: Option<&'a str>,
    request_id: Option<&'a str>,
}

pub(super) fn faults(object: &Value, truth: &Truth<'_>) -> Vec<String> {
    let status = &object["status"];
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for entry in history(status) {
        let said = Said {
            id: entry["attemptId"].as_str().unwrap_or_default(),
            outcome: entry["outcome"].as_str().unwrap_or_default(),
            error_code: entry["errorCode"].as_str(),
            request_id: entry["requestId"].as_str(),
        };
        let why = contradiction(&said, truth).into_iter();
        found.extend(why.map(|why| format!("history {}: {why}", entry["number"])));
    }
    let attempt = &status["attempt"];
    let phone = phone_of(object);
    if attempt.is_null() {
        found.extend(newest(status));
        return found;
    }
    let top = history(status).first().unwrap_or(&Value::Null);
    if top["attemptId"] == attempt["id"] {
        for field in ["number", "outcome", "finishedAt", "codeFingerprint"] {
            if top[field] != attempt[field] {
                found.push(format!("attempt and history differ in {field}"));
            }
        }
    } else {
        let said = Said {
            id: attempt["id"].as_str().unwrap_or_default(),
            outcome: attempt["outcome"].as_str().unwrap_or_default(),
            error_code: None,
            request_id: None,
        };
        let why = match said.outcome {
            // Unknown for good: the cloud refuses to read this number.
            "Unknown" if !can_be_read(phone, truth) => None,
            _ => contradiction(&said, truth),
        };
        found.extend(why.map(|why| format!("attempt {}: {why}", attempt["number"])));
        // What is spent goes into history, in the same write.
        if ["Refused", "RequestRefused", "UnknownFinal"].contains(&said.outcome) {
            found.push(format!("attempt is {} and not in history", said.outcome));
        }
    }
    for row in truth.books.of_attempt(&text(&attempt["id"])) {
        if row.timestamp.as_deref() != attempt["signedAt"].as_str() {
            found.push(format!(
                "attempt {}: signed at another time",
                attempt["number"]
            ));
        }
    }
    found.extend(newest(status));
    found
}

/// Reason, errorCode and requestId speak of the newest spent code.
fn newest(status: &Value) -> Vec<String> {
    let top = history(status).first().unwrap_or(&Value::Null);
    let outcomes: &[&str] = match reason(status) {
        "CodeRejected" => &["Refused"],
        "RequestRejected" => &["RequestRefused"],
        "OutcomeUnknown" if is_finished(status) => &["UnknownFinal"],
        "AttemptsExhausted" => &["Refused", "RequestRefused", "UnknownFinal"],
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    let outcome = top["outcome"].as_str().unwrap_or_default();
    if !outcomes.contains(&outcome) {
        found.push(format!("{} after {outcome}", reason(status)));
    }
    for field in ["errorCode", "requestId"] {
        if top[field] != status[field] {
            found.push(format!("{field} is not that of the newest spent code"));
        }
    }
    found
}

fn can_be_read(phone: &str, truth: &Truth<'_>) -> bool {
    let reads = truth.books.reads_of(phone).iter();
    reads
        .into_iter()
        .any(|read| read.decision == Decision::Accepted)
}

fn contradiction(said: &Said<'_>, truth: &Truth<'_>) -> Option<String> {
    let rows = truth.books.of_attempt(said.id);
    let row = match rows {
        [] => None,
        [one] => Some(*one),
        several => return Some(format!("sent {} times", several.len())),
    };
    let was = row.map_or("never received".to_owned(), |row| {
        format!("{:?} (row {})", row.decision, row.seq)
    });
    let wrong = || Some(format!("{} in status, {was} in the ledger", said.outcome));
    let decision = row.map(|row| row.decision);
    match said.outcome {
        "Accepted" => match row {
            Some(row) if row.decision == Decision::Accepted && replied(row) => None,
            _ => wrong(),
        },
        "Refused" | "RequestRefused" => match row {
            Some(row) if row.decision == Decision::Refused && replied(row) => refusal(said, row),
            _ => wrong(),
        },
        "Adopted" if truth.verified => None,
        // A definite answer that a living process heard is not unknown.
        "UnknownFinal" => match row {
            Some(row) if definite(row) && (truth.heard)(row) => wrong(),
            _ => None,
        },
        "NotSent" if decision.is_none() => None,
        "Throttled" if decision == Some(Decision::Throttled) => None,
        "Blocked" if decision == Some(Decision::Rejected) => None,
        _ => wrong(),
    }
}

/// Executed, and the reply said how.
fn definite(row: &Entry) -> bool {
    let executed = matches!(row.decision, Decision::Accepted | Decision::Refused);
    executed && replied(row)
}

fn refusal(said: &Said<'_>, row: &Entry) -> Option<String> {
    if said.error_code != row.reply_code.as_deref() {
        return Some("errorCode is not the reply's".to_owned());
    }
    (said.request_id != Some(&row.request_id)).then(|| "requestId is not the reply's".to_owned())
}
