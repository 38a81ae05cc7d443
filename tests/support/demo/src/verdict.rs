//! Checks the promises against the last statuses and the ledger of the cloud. PURE.

use harness::agreement::Run;
use harness::books::Throttles;
use harness::cams_simulator::{Entry, Number, Summary, VERIFIED};
use harness::reason;
use serde_json::Value;

use crate::cast::Role;

/// Every broken promise, in words without codes.
pub fn violations(
    cast: &[Role],
    objects: &[Value],
    ledger: &[Entry],
    numbers: &[Number],
) -> Vec<String> {
    let run = Run {
        ledger,
        objects,
        numbers,
        // No outcome may stay unknown, and no two resources share a number.
        heard: &|_| true,
        own: &|_, _| true,
    };
    let mut found: Vec<String> = run.broken().into_iter().map(|broken| broken.what).collect();
    for role in cast {
        let its = |object: &&Value| object["spec"]["phoneNumber"] == *role.phone;
        let object = objects.iter().find(its);
        let ended = object.map_or("", |object| reason(&object["status"]));
        if ended != "Verified" {
            let is = if ended.is_empty() {
                "without a status"
            } else {
                ended
            };
            let name = role.full_name();
            found.push(format!("{name}: did not settle in time, it is {is}"));
        }
    }
    let throttles = Throttles::of(ledger);
    if throttles.exceeded() {
        found.push(format!("outside the staged spell {throttles}"));
    }
    found
}

/// The ledger in one line.
pub fn ledger_line(ledger: &[Entry], limit: u64) -> String {
    let summary = Summary::of(ledger.iter());
    let submitted = summary.action(VERIFIED).counts;
    let times = match summary.max_executed_per_code {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    format!(
        "Ledger of the cloud: {} calls ({} submissions, {} status reads); {} codes executed, each \
         at most {times}; worst second {} of {limit}; {} throttled, {} of them by the quota",
        summary.total.received,
        submitted.received,
        summary.total.received - submitted.received,
        summary.codes.len(),
        summary.worst_second,
        summary.total.throttled,
        Throttles::of(ledger).throttled,
    )
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
