//! The last status of each resource against the ledger, field by field: the verdict over a run. PURE.
//!
//! Attempts and submissions are matched by the attempt's id, which is the request's nonce. Only the
//! caller can excuse an unknown outcome: a reply that may not have reached the operator.

use cams_simulator::{Decision, Entry, Fault, Number, Summary};
use serde_json::Value;

use crate::books::{Books, executed_twice, replied};
use crate::world::{condition, reason};

mod outcomes;
mod shape;

/// A run that has ended: every resource is settled, and nothing runs any more.
pub struct Run<'a> {
    /// All submissions and reads.
    pub ledger: &'a [Entry],
    /// The resources.
    pub objects: &'a [Value],
    /// The numbers as the cloud has them.
    pub numbers: &'a [Number],
    /// See [`Truth::heard`].
    pub heard: &'a dyn Fn(&Entry) -> bool,
    /// Whether this submission was made for the resource of this uid.
    pub own: &'a dyn Fn(&Entry, &str) -> bool,
}

/// A broken promise, in words without codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number.
    pub phone: String,
    /// The resource, if there is one, and the contradiction.
    pub what: String,
}

impl Run<'_> {
    /// Every broken promise: a code that was executed twice, a request that was sent twice, and each
    /// contradiction between a status and the ledger.
    pub fn broken(&self) -> Vec<Broken> {
        let books = Books::of(self.ledger);
        let mut found = Vec::new();
        for (phone, times) in executed_twice(&Summary::of(self.ledger.iter())) {
            let object = self.objects.iter().find(|o| phone_of(o) == phone);
            let name = object.map_or("a foreign number".to_owned(), full_name);
            let what = format!("{name}: EXECUTED TWICE: one code, {times} times");
            let phone = phone.to_owned();
            found.push(Broken { phone, what });
        }
        for rows in books.sent_twice() {
            let (first, times) = (rows[0], rows.len());
            let attempt = first.nonce.as_deref().unwrap_or_default();
            found.push(Broken {
                phone: first.phone.clone().unwrap_or_default(),
                what: format!("the request of attempt {attempt} arrived {times} times"),
            });
        }
        for object in self.objects {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            let number = self.numbers.iter().find(|n| n.phone == phone_of(object));
            let truth = Truth {
                books: &books,
                id: number.and_then(|number| number.id.as_deref()),
                verified: number.is_some_and(|number| number.verified),
                heard: self.heard,
                own: &|row| (self.own)(row, uid),
            };
            found.extend(
                disagreements(object, &truth)
                    .into_iter()
                    .map(|what| Broken {
                        phone: phone_of(object).to_owned(),
                        what: format!("{}: {what}", full_name(object)),
                    }),
            );
        }
        found
    }
}

/// The facts about a resource from sources other than its status.
struct Truth<'a> {
    books: &'a Books<'a>,
    /// The Id of the number, if the cloud knows it.
    id: Option<&'a str>,
    /// The number is verified, for whatever reason, and the status read shows it.
    verified: bool,
    /// Whether the process that sent this request surely got and kept its reply, which left whole.
    heard: &'a dyn Fn(&Entry) -> bool,
    /// Whether this submission was made for this very resource, not for an earlier one of its name.
    own: &'a dyn Fn(&Entry) -> bool,
}

/// Every contradiction, in words without codes. The resource is settled: nothing runs for it.
fn disagreements(object: &Value, truth: &Truth<'_>) -> Vec<String> {
    let alone = !others(object, truth).any(|_| true);
    let spelt = spelt(phone_of(object), truth);
    let mut found = shape::faults(object, alone, &spelt);
    found.extend(outcomes::faults(object, truth));
    found.extend(success(object, truth));
    found.extend(unnamed(object, truth));
    found
}

/// Accepted means Verified with its Id, and Verified means that the cloud says so.
fn success(object: &Value, truth: &Truth<'_>) -> Vec<String> {
    let status = &object["status"];
    let phone = phone_of(object);
    let mut found = Vec::new();
    if reason(status) != "Verified" {
        if truth.books.accepted_of(phone, truth.own) {
            found.push("outcome lost: a code was accepted, and it is not Verified".to_owned());
        }
        if reason(status) == "DuplicatePhoneNumber" && !truth.verified {
            found.push("a duplicate of a number that is not verified".to_owned());
        }
        for field in ["id", "verifiedAt"] {
            if !status[field].is_null() {
                found.push(format!("{field} is there without success"));
            }
        }
        return found;
    }
    if !truth.verified {
        found.push("false success: the number is not verified".to_owned());
    }
    if status["id"].as_str() != truth.id {
        found.push(format!(
            "id is {}, the cloud's is {}",
            status["id"],
            truth.id.unwrap_or("none")
        ));
    }
    if status["verifiedAt"].is_null() {
        found.push("Verified without verifiedAt".to_owned());
    }
    for field in ["errorCode", "errorMessage"] {
        if !status[field].is_null() {
            found.push(format!("Verified with {field}"));
        }
    }
    let request = status["requestId"].as_str().unwrap_or_default();
    let told = |row: &&&Entry| row.request_id == request && row.decision == Decision::Accepted;
    let by_call = truth.books.of_number(phone).iter().find(told);
    let by_read = truth.books.reads_of(phone).iter().find(told);
    if !by_call.or(by_read).is_some_and(|row| replied(row)) {
        found.push("requestId is of no reply that said verified".to_owned());
    }
    if status["attempt"]["outcome"] == "Accepted" && by_call.is_none() {
        found.push("Accepted, but requestId is not the call's".to_owned());
    }
    found
}

/// Status shows every execution for this resource.
fn unnamed(object: &Value, truth: &Truth<'_>) -> Vec<String> {
    let status = &object["status"];
    let named = |row: &Entry| {
        let nonce = row.nonce.as_deref();
        let in_history = history(status)
            .iter()
            .any(|e| e["attemptId"].as_str() == nonce);
        in_history || status["attempt"]["id"].as_str() == nonce
    };
    let rows = truth.books.of_number(phone_of(object)).iter();
    rows.filter(|row| row.executed() && (truth.own)(row) && !named(row))
        .map(|row| format!("execution {} is in no field of status", row.seq))
        .collect()
}

/// The other numbers that replies about this one showed.
fn spelt<'a>(phone: &str, truth: &Truth<'a>) -> Vec<&'a str> {
    let rows = truth.books.of_number(phone).iter();
    let rows = rows.chain(truth.books.reads_of(phone));
    let mut found = Vec::new();
    for met in rows.flat_map(|row| &row.faults) {
        if let Fault::OtherPhone { phone } = &met.fault {
            found.push(phone.as_str());
        }
    }
    found
}

/// `namespace/name`.
fn full_name(object: &Value) -> String {
    let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", of("namespace"), of("name"))
}

fn phone_of(object: &Value) -> &str {
    object["spec"]["phoneNumber"].as_str().unwrap_or_default()
}

/// Submissions for its number that other resources made.
fn others<'a>(object: &'a Value, truth: &'a Truth<'_>) -> impl Iterator<Item = &'a Entry> {
    let rows = truth.books.of_number(phone_of(object)).iter().copied();
    rows.filter(|row| !(truth.own)(row))
}

/// status.history, newest first.
fn history(status: &Value) -> &[Value] {
    status["history"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// True for a state that only a user, or nothing at all, ends.
fn is_finished(status: &Value) -> bool {
    condition(status, "Finished") == "True"
}

#[cfg(test)]
mod tests;
