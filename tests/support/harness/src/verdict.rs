//! What must hold after every case.

use std::sync::atomic::Ordering;

use cams_simulator::{Entry, Number, Summary};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::books::{Books, throttled_by_quota};
use crate::error::{Error, Result};
use crate::world::{World, condition, reason};
use control_plane::AuditEntry;

/// Share of the calls that the quota may throttle in a case that is not about throttles: on a busy
/// machine some arrive late, and the next ones early.
const THROTTLED_SHARE: f64 = 0.05;
/// Calls that it may throttle besides.
const THROTTLED: usize = 2;

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

/// Requests about one resource: about itself, its Secret and its Events; watches excepted.
pub fn requests_of<'a>(requests: &'a [AuditEntry], name: &str) -> Vec<&'a AuditEntry> {
    let secret = format!("{name}-code");
    let prefix = format!("{name}.");
    requests
        .iter()
        .filter(|r| match r.resource.as_str() {
            "phonemigrations" => r.name == name,
            "secrets" => r.name == secret,
            "events" => r.name.starts_with(&prefix),
            _ => false,
        })
        .collect()
}

/// Whether the shipped rights grant a request, and it is one that the operator is to make.
pub fn is_granted(request: &AuditEntry, watches_secrets: bool) -> bool {
    let read = matches!(request.verb.as_str(), "get" | "list" | "watch");
    match (request.resource.as_str(), request.subresource.as_str()) {
        ("phonemigrations", "status") => request.verb == "update",
        ("events", _) => matches!(request.verb.as_str(), "create" | "patch"),
        ("phonemigrations", "") => read,
        ("secrets", _) if watches_secrets => read,
        ("secrets", _) => request.verb == "get",
        ("leases", "") => matches!(request.verb.as_str(), "get" | "create" | "update"),
        _ => false,
    }
}

impl World {
    /// Checks the invariants and returns the figures:
    /// no code executed twice; calls that the quota throttled the exception; every accepted number of a resource that exists
    /// Verified with its Id, and no success without one; no code, key, signature or full number
    /// in what the operators wrote, in any encoding; nothing but status and Events written.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub async fn finish(&self) -> Result<Figures> {
        self.told(self.judge(false).await)
    }

    /// The same after the API server was started anew: for a moment it forbids everything.
    ///
    /// # Errors
    /// As [`Self::finish`].
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
            check_quota(&ledger)?;
        }
        let objects = self.list().await?;
        check_outcomes(&ledger, &objects, |phone| self.sim.number(phone))?;
        self.canaries().search()?.none_in(&self.written().await?)?;
        let requests = self.requests()?;
        let watches_secrets = self.watches_secrets.load(Ordering::Relaxed);
        for request in &requests {
            if !is_granted(request, watches_secrets) || (request.code == 403 && !restarted) {
                return fail("a request that must not be", format!("{request:?}"));
            }
        }
        Ok(Figures { summary, requests })
    }

    /// Requests of the operator for this world's namespace so far.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn requests(&self) -> Result<Vec<AuditEntry>> {
        let user = self.plane.operator_user();
        let entries = self
            .plane
            .control
            .audit_entries()
            .map_err(Error::at("audit log"))?;
        Ok(entries
            .into_iter()
            .filter(|e| e.user == user && e.namespace == self.namespace)
            .collect())
    }

    /// Every PhoneMigration of this world's namespace.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self) -> Result<Vec<Value>> {
        let list = self
            .migrations()
            .list(&ListParams::default())
            .await
            .map_err(Error::at("list"))?;
        list.items
            .into_iter()
            .map(|object| serde_json::to_value(object).map_err(Error::at("object")))
            .collect()
    }

    /// Events of this world's namespace.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let api: Api<Event> = Api::namespaced(self.plane.admin.clone(), &self.namespace);
        api.list(&ListParams::default())
            .await
            .map(|l| l.items)
            .map_err(Error::at("events"))
    }
}

/// The simulator admits no more than the quota, so it is what it throttled that tells.
fn check_quota(ledger: &[Entry]) -> Result<()> {
    let throttled = ledger.iter().filter(|row| throttled_by_quota(row)).count();
    let most = (ledger.len() as f64 * THROTTLED_SHARE) as usize + THROTTLED;
    if throttled > most {
        let calls = ledger.len();
        let why = format!("{throttled} of {calls} calls were throttled, {most} may be");
        return Err(Error::new("invariant broken: the quota exceeded", why));
    }
    Ok(())
}

fn check_outcomes(
    ledger: &[Entry],
    objects: &[Value],
    number: impl Fn(&str) -> Option<Number>,
) -> Result<()> {
    let books = Books::of(ledger);
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
        let accepted = books.accepted(phone);
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
        // A number that the test took away since says nothing.
        if let Some(number) = number(phone) {
            if !number.verified {
                return broken("false success");
            }
            // Status holds no longer one: the outcome stands without it.
            let id = number.id.as_deref().filter(|id| id.len() <= LONGEST_ID);
            if status["id"].as_str() != id {
                return broken("another number's Id");
            }
        }
    }
    Ok(())
}
