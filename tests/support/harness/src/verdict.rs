//! The invariants after every case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use cams_simulator::{Entry, Number, Summary, VERIFIED};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use crate::books::{Books, Throttles, replied};
use crate::error::{Error, Result};
use crate::world::{World, condition, reason};
use control_plane::AuditEntry;

/// Longest Id that the CRD admits.
const LONGEST_ID: usize = 128;

/// Figures of a finished case.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The ledger's own figures.
    pub summary: Summary,
    /// Requests of the operator to the API server for this namespace.
    pub requests: Vec<AuditEntry>,
}

/// Requests about one resource: about itself, its Secret, its Events, and the CodeLedger that holds
/// an attempt of it; watches excepted.
pub fn requests_of<'a>(requests: &'a [AuditEntry], name: &str) -> Vec<&'a AuditEntry> {
    let secret = format!("{name}-code");
    let prefix = format!("{name}.");
    let ledgers = ledgers_of(requests, name);
    requests
        .iter()
        .filter(|r| match r.resource.as_str() {
            "phonemigrations" => r.name == name,
            "secrets" => r.name == secret,
            "events" => r.name.starts_with(&prefix),
            "codeledgers" => ledgers.contains(r.name.as_str()),
            _ => false,
        })
        .collect()
}

/// Names of the CodeLedgers that hold an attempt of this resource.
fn ledgers_of<'a>(requests: &'a [AuditEntry], name: &str) -> BTreeSet<&'a str> {
    let holds = |request: &&AuditEntry| {
        let body = request.request_object.as_ref();
        let entries = body.and_then(|body| body["entries"].as_array());
        let mut entries = entries.into_iter().flatten();
        request.resource == "codeledgers" && entries.any(|e| e["migration"]["name"] == name)
    };
    let found = requests.iter().filter(holds);
    found.map(|request| request.name.as_str()).collect()
}

/// Whether the shipped rights grant a request, and the operator is expected to make it.
pub fn is_granted(request: &AuditEntry, watches_secrets: bool) -> bool {
    let read = matches!(request.verb.as_str(), "get" | "list" | "watch");
    match (request.resource.as_str(), request.subresource.as_str()) {
        ("phonemigrations", "status") => request.verb == "update",
        ("events", _) => matches!(request.verb.as_str(), "create" | "patch"),
        ("phonemigrations", "") => read,
        ("secrets", _) if watches_secrets => read,
        ("secrets", _) => request.verb == "get",
        ("codeledgers", "") => matches!(
            request.verb.as_str(),
            "get" | "list" | "create" | "update" | "delete"
        ),
        // The schemas of the CRDs.
        ("", "") => request.verb == "get" && request.uri.starts_with("/openapi/v3/"),
        ("leases", "") => matches!(request.verb.as_str(), "get" | "create" | "update"),
        _ => false,
    }
}

impl World {
    /// Checks the invariants and returns the figures: no code executed twice; only exceptional
    /// calls throttled by the quota; every accepted number of an existing resource Verified with
    /// its Id, and no success without one; at most one open entry in each CodeLedger, and every
    /// call with its entry; no code, key, signature or full number in anything that the operators
    /// wrote, in any encoding; nothing but status, ledgers and Events written.
    pub async fn finish(&self) -> Result<Figures> {
        self.told(self.judge(false).await)
    }

    /// The same after a restart of the API server: for a moment it forbids everything.
    pub async fn finish_after_restart(&self) -> Result<Figures> {
        self.told(self.judge(true).await)
    }

    async fn judge(&self, restarted: bool) -> Result<Figures> {
        let ledger = self.sim.ledger();
        let summary = self.sim.summary();
        let fail =
            |what: &str, why: String| Err(Error::new(format!("invariant broken: {what}"), why));
        if summary.max_executed_per_code > 1 {
            return fail("a code was executed twice", format!("{:?}", summary.codes));
        }
        if !self.throttles.load(Ordering::Relaxed) {
            let throttles = Throttles::of(&ledger);
            if throttles.exceeded() {
                return fail("the quota exceeded", throttles.to_string());
            }
        }
        let objects = self.list().await?;
        let ledgers = self.ledgers().await?;
        check_outcomes(&ledger, &objects, &ledgers, |phone| self.sim.number(phone))?;
        let others = self.other_clients.load(Ordering::Relaxed);
        if let Some(why) = ledger_fault(&ledger, &ledgers, others) {
            return fail("the ledgers", why);
        }
        self.canaries().search()?.none_in(&self.written().await?)?;
        let requests = self.requests()?;
        let watches_secrets = self.watches_secrets.load(Ordering::Relaxed);
        let refusals = self.refusals.load(Ordering::Relaxed);
        for request in &requests {
            let astray =
                request.resource == "codeledgers" && request.namespace != self.ledger_namespace;
            let expected = restarted || (refusals && request.resource == "codeledgers");
            if astray || !is_granted(request, watches_secrets) || (request.code == 403 && !expected)
            {
                return fail("a request that must not be", format!("{request:?}"));
            }
        }
        Ok(Figures { summary, requests })
    }

    /// Requests of the operator for this world's namespace and that of its CodeLedgers so far.
    pub fn requests(&self) -> Result<Vec<AuditEntry>> {
        let user = self.plane.operator_user();
        self.plane
            .control
            .audit_entries(|e| {
                let ours = [&self.namespace, &self.ledger_namespace];
                e.user == user && ours.contains(&&e.namespace)
            })
            .map_err(Error::at("audit log"))
    }

    /// Every PhoneMigration of this world's namespace.
    pub async fn list(&self) -> Result<Vec<Value>> {
        list(self.migrations()).await
    }

    /// Every PhoneMigration of every namespace.
    pub async fn list_everywhere(&self) -> Result<Vec<Value>> {
        list(self.migrations_everywhere()).await
    }

    /// Events of this world's namespace.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let api: Api<Event> = Api::namespaced(self.plane.admin.clone(), &self.namespace);
        api.list(&ListParams::default())
            .await
            .map(|l| l.items)
            .map_err(Error::at("events"))
    }
}

/// Every object of an API.
pub(crate) async fn list(api: Api<DynamicObject>) -> Result<Vec<Value>> {
    let list = api.list(&ListParams::default()).await;
    let items = list.map_err(Error::at("list"))?.items.into_iter();
    let value = |object| serde_json::to_value(object).map_err(Error::at("object"));
    items.map(value).collect()
}

/// Errors in the CodeLedgers of the world. `others`: other clients make calls for their own
/// numbers, which have no ledger.
fn ledger_fault(calls: &[Entry], ledgers: &[Value], others: bool) -> Option<String> {
    let numbers: BTreeSet<&str> = ledgers
        .iter()
        .filter_map(|ledger| ledger["spec"]["phoneNumber"].as_str())
        .collect();
    let mut left_out = BTreeSet::new();
    let mut outcomes = BTreeMap::new();
    for ledger in ledgers {
        let entries = ledger["entries"].as_array().into_iter().flatten();
        let outcome = |entry: &Value| entry["outcome"].as_str().unwrap_or("Unknown").to_owned();
        let open = entries.clone().filter(|entry| outcome(entry) == "Unknown");
        if open.count() > 1 {
            return Some(format!("two open entries: {ledger}"));
        }
        for entry in entries {
            let id = entry["attemptId"].as_str().unwrap_or_default();
            outcomes.insert(id.to_owned(), outcome(entry));
        }
        let released = ledger["released"].as_array().into_iter().flatten();
        left_out.extend(released.filter_map(Value::as_str));
    }
    let calls = calls.iter().filter(|call| call.action == VERIFIED);
    for call in calls {
        let id = call.nonce.as_deref().unwrap_or_default();
        let phone = call.phone.as_deref().unwrap_or_default();
        let outcome = outcomes.get(id).map(String::as_str);
        let unspent = matches!(outcome, Some("Throttled" | "NotSent" | "Blocked"))
            || outcome.is_none() && left_out.contains(id);
        let wrong = match outcome {
            None if !unspent && (!others || numbers.contains(phone)) => "no entry",
            // Every executed code is spent, unless the service itself said otherwise.
            _ if unspent && call.executed() && replied(call) => "a released entry",
            _ => continue,
        };
        return Some(format!("{wrong} for the call {call:?}: {ledgers:?}"));
    }
    None
}

/// The uid of the resource that an attempt was made for, by the attempt's id.
fn made_by(ledgers: &[Value]) -> BTreeMap<&str, &str> {
    let entries = ledgers
        .iter()
        .filter_map(|ledger| ledger["entries"].as_array());
    entries
        .flatten()
        .filter_map(|entry| {
            let uid = entry["migration"]["uid"].as_str()?;
            Some((entry["attemptId"].as_str()?, uid))
        })
        .collect()
}

fn check_outcomes(
    ledger: &[Entry],
    objects: &[Value],
    ledgers: &[Value],
    number: impl Fn(&str) -> Option<Number>,
) -> Result<()> {
    let books = Books::of(ledger);
    let made_by = made_by(ledgers);
    for object in objects {
        let broken = |what: &str| {
            let why = format!("{}: {}", object["metadata"]["name"], object["status"]);
            Err(Error::new(format!("invariant broken: {what}"), why))
        };
        let Some(phone) = object["spec"]["phoneNumber"].as_str() else {
            continue;
        };
        let status = &object["status"];
        let verified = reason(status) == "Verified";
        let uid = object["metadata"]["uid"].as_str();
        // A call that no ledger attributes counts as each resource's own.
        let own = |call: &Entry| {
            let by = made_by.get(call.nonce.as_deref().unwrap_or_default());
            by.is_none_or(|by| uid == Some(*by))
        };
        let accepted = books.accepted_of(phone, own);
        if accepted && !verified && condition(status, "Finished") == "True" {
            return broken("outcome lost");
        }
        if !verified {
            continue;
        }
        let outcome = &status["attempt"]["outcome"];
        if !accepted && outcome == "Accepted" {
            return broken("success without one");
        }
        // A number that the test has since removed proves nothing.
        if let Some(number) = number(phone) {
            if !number.verified {
                return broken("false success");
            }
            // Status cannot hold a longer Id: the outcome is recorded without it.
            let id = number.id.as_deref().filter(|id| id.len() <= LONGEST_ID);
            if status["id"].as_str() != id {
                return broken("another number's Id");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
