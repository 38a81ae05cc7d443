//! The shape of any settled status: conditions, generation, numbers, mask. PURE.

use serde_json::Value;

use super::{history, is_finished, phone_of};
use crate::world::{condition, reason};

/// `alone`: no other resource submitted a code for the number. `spelt`: the other numbers that
/// replies showed in its place.
pub(super) fn faults(object: &Value, alone: bool, spelt: &[&str]) -> Vec<String> {
    let status = &object["status"];
    let mut found = kstatus(status);
    found.extend(stamps(object));
    found.extend(numbers(status, alone));
    let shown = status["phoneNumber"].as_str();
    let mut may_be = spelt.iter().copied().chain([phone_of(object)]);
    if shown.is_some_and(|shown| may_be.all(|number| shown != masked(number))) {
        found.push("phoneNumber is not the masked number".to_owned());
    }
    found
}

/// Ready, Reconciling, Stalled, Finished of each reason that lasts.
fn kstatus(status: &Value) -> Vec<String> {
    let expected = match reason(status) {
        "Verified" => ["True", "False", "False", "True"],
        "CodeRejected" | "RequestRejected" | "AttemptsExhausted" => {
            ["False", "False", "True", "True"]
        }
        "OutcomeUnknown" if is_finished(status) => ["False", "False", "True", "True"],
        // No read answers, so reads go on.
        "OutcomeUnknown" if condition(status, "Stalled") == "True" => {
            ["False", "False", "True", "False"]
        }
        "InvalidCode" | "CodeExpired" | "CodeUnknown" | "DuplicatePhoneNumber" => {
            ["False", "False", "True", "False"]
        }
        "SecretNotFound" | "SecretForbidden" | "KeyNotFound" => ["False", "True", "False", "False"],
        "Suspended" => ["False", "False", "False", "False"],
        other => return vec![format!("not settled: {other}")],
    };
    let types = ["Ready", "Reconciling", "Stalled", "Finished"];
    types
        .iter()
        .zip(expected)
        .filter(|(type_, expected)| condition(status, type_) != *expected)
        .map(|(type_, expected)| {
            let is = condition(status, type_);
            format!("{type_} is {is}, for {} it is {expected}", reason(status))
        })
        .collect()
}

/// Generation, reason and requestedAt are current.
fn stamps(object: &Value) -> Vec<String> {
    let (meta, status) = (&object["metadata"], &object["status"]);
    let mut found = Vec::new();
    let generation = &meta["generation"];
    if status["observedGeneration"] != *generation {
        found.push("observedGeneration is not the generation".to_owned());
    }
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.len() != 4 {
        found.push(format!("{} conditions", conditions.len()));
    }
    for one in &conditions {
        if one["observedGeneration"] != *generation || one["reason"] != status["reason"] {
            found.push(format!("condition {} is of another state", one["type"]));
        }
    }
    let requested = &meta["annotations"]["phonemigration.dev/requestedAt"];
    if *requested != status["lastHandledReconcileAt"] {
        found.push("requestedAt was not handled".to_owned());
    }
    if status["lastHandledRetryToken"].as_str().unwrap_or_default()
        != object["spec"]["retryToken"].as_str().unwrap_or_default()
        && reason(status) != "Suspended"
    {
        found.push("retryToken was not handled".to_owned());
    }
    if !status["nextAttemptAt"].is_null() {
        found.push("settled with nextAttemptAt".to_owned());
    }
    found
}

/// History counts down to 1 without a gap; the attempt is its newest or the one after it.
fn numbers(status: &Value, alone: bool) -> Vec<String> {
    let numbers: Vec<i64> = history(status)
        .iter()
        .map(|entry| entry["number"].as_i64().unwrap_or_default())
        .collect();
    let expected: Vec<i64> = (1..=numbers.len())
        .rev()
        .map(|n| i64::try_from(n).unwrap_or_default())
        .collect();
    let mut found = Vec::new();
    if numbers != expected {
        found.push(format!("history counts {numbers:?}"));
    }
    let newest = &history(status).first().unwrap_or(&Value::Null)["attemptId"];
    let attempt = &status["attempt"];
    if attempt.is_null() {
        return found;
    }
    let spent = numbers.first().copied().unwrap_or_default();
    let right = if attempt["id"] == *newest {
        spent
    } else {
        spent + 1
    };
    let released = ["Throttled", "NotSent", "Blocked"]
        .iter()
        .any(|outcome| attempt["outcome"] == *outcome);
    // A code that was inherited from another status is counted in addition to a release.
    let number = attempt["number"].as_i64().unwrap_or_default();
    if number != right && !(released && number < right) {
        found.push(format!("attempt {number} after {spent} spent codes"));
    }
    let limit = status["attemptLimit"].as_i64().unwrap_or_default();
    let exhausted = reason(status) == "AttemptsExhausted";
    // The other resources of the namespace spend codes of the same limit.
    if exhausted && alone && spent < limit || spent > limit {
        found.push(format!("{spent} codes spent of {limit}"));
    }
    found
}

/// The last four digits hidden, as the field's documentation says.
fn masked(phone: &str) -> String {
    let open = phone.len().saturating_sub(4);
    let digits = phone.chars().enumerate();
    digits
        .map(|(at, c)| if at < open { c } else { '*' })
        .collect()
}
