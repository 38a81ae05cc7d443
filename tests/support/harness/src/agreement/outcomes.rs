//! The outcome of each attempt against the row of its request. PURE.

use cams_simulator::{Decision, Entry};
use serde_json::Value;

use super::{Truth, history, is_finished, others, phone_of};
use crate::books::replied;
use crate::world::reason;

/// One attempt in status: the current one, or an entry of history.
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
        found.extend(told(object, truth));
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
            // Unknown for good: the cloud refuses status reads of this number.
            "Unknown" if !can_be_read(phone, truth) => None,
            _ => contradiction(&said, truth),
        };
        found.extend(why.map(|why| format!("attempt {}: {why}", attempt["number"])));
        // A spent attempt goes into history, in the same write.
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
    found.extend(told(object, truth));
    found
}

/// Reason, errorCode and requestId describe the newest spent code, or the code in the Secret: an
/// earlier one that was put back, or one that another resource submitted.
fn told(object: &Value, truth: &Truth<'_>) -> Vec<String> {
    let status = &object["status"];
    let top = history(status).first().unwrap_or(&Value::Null);
    let outcomes: &[&str] = match reason(status) {
        "CodeRejected" => &["Refused"],
        "RequestRejected" => &["RequestRefused"],
        "OutcomeUnknown" if is_finished(status) => &["UnknownFinal"],
        "AttemptsExhausted" => &["Refused", "RequestRefused", "UnknownFinal"],
        _ => return Vec::new(),
    };
    let earlier = history(status).iter().skip(1).any(|entry| {
        let outcome = entry["outcome"].as_str().unwrap_or_default();
        let same = |field: &str| entry[field] == status[field];
        outcomes.contains(&outcome) && same("errorCode") && same("requestId")
    });
    if earlier || others(object, truth).any(|row| told_by(status, outcomes, row)) {
        return Vec::new();
    }
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

/// Whether status may report this submission, which another resource made.
fn told_by(status: &Value, outcomes: &[&str], row: &Entry) -> bool {
    let (code, request) = (status["errorCode"].as_str(), status["requestId"].as_str());
    let refused = row.decision == Decision::Refused && replied(row);
    match request {
        Some(request) => refused && request == row.request_id && code == row.reply_code.as_deref(),
        // Status has no reply details for an unknown outcome, or for a code that verified the
        // number.
        None => {
            outcomes.contains(&"UnknownFinal") && !refused || row.decision == Decision::Accepted
        }
    }
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
        // A definite answer that a living process received is not unknown.
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

/// Executed, and the reply reported the result.
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
