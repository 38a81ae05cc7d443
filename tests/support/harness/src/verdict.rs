//! What must hold after every case.

use std::sync::atomic::Ordering;

use cams_simulator::{Entry, Summary};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::books::Books;
use crate::error::{Error, Result};
use crate::world::{World, reason};
use control_plane::AuditEntry;

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
    /// no code executed twice; the quota kept; every accepted number of a resource that exists
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
        let over: Vec<_> = summary
            .actions
            .iter()
            .filter(|a| a.worst_second_admitted > 10)
            .collect();
        let limited = self.sim.settings().quota.limit > 0 && self.sim.settings().quota.limit <= 10;
        if limited && !over.is_empty() {
            return fail("more than the quota in a second", format!("{over:?}"));
        }
        let objects = self.list().await?;
        check_outcomes(&ledger, &objects)?;
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

fn check_outcomes(ledger: &[Entry], objects: &[Value]) -> Result<()> {
    let books = Books::of(ledger);
    for object in objects {
        let (name, phone) = (
            &object["metadata"]["name"],
            object["spec"]["phoneNumber"].as_str(),
        );
        let status = &object["status"];
        let verified = reason(status) == "Verified";
        let settled =
            ["CodeRejected", "RequestRejected", "AttemptsExhausted"].contains(&reason(status));
        let accepted = phone.is_some_and(|phone| books.accepted(phone));
        if accepted && settled {
            return Err(Error::new(
                "invariant broken: outcome lost",
                format!("{name}: {status}"),
            ));
        }
        if verified && !accepted && status["attempt"]["outcome"] == "Accepted" {
            return Err(Error::new(
                "invariant broken: success without one",
                format!("{name}: {status}"),
            ));
        }
    }
    Ok(())
}
