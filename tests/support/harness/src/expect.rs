//! Waits and assertions of behaviour tests. Everything here panics, as a test should.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use cams_simulator::{Entry, Fault, FaultRule, VERIFIED};
use serde_json::{Value, json};

use crate::{Migration, Operator, World, condition};

/// Flags with which a lost outcome becomes final about 5 s after it was signed.
pub const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// Flags with which a lost outcome does not become final while a case runs.
pub const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(50);

const POLL: Duration = Duration::from_millis(10);

/// What most cases do in their world.
impl World {
    /// An operator with these flags, ready.
    pub async fn start(&self, flags: &[&str]) -> Operator {
        self.operator(flags).await.unwrap()
    }

    /// Creates number, Secret and PhoneMigration, which become verified if nothing fails.
    pub async fn migrate(&self, name: &str, phone: &str, code: &str) {
        self.ready_migration(name, phone, code).await.unwrap();
    }

    pub async fn make(&self, migration: &Migration) {
        self.create(migration).await.unwrap();
    }

    /// A fault of the simulated cloud.
    pub fn fault(&self, rule: impl Into<FaultRule>) {
        self.sim.add_fault(rule).unwrap();
    }

    /// The next submission meets this.
    pub fn next_call(&self, fault: Fault) {
        self.fault(FaultRule::new(fault).action(VERIFIED).once());
    }

    /// The next submission of this number meets this.
    pub fn next_call_of(&self, phone: &str, fault: Fault) {
        let rule = FaultRule::new(fault).action(VERIFIED);
        self.fault(rule.phone(phone).once());
    }

    /// Merges into the spec.
    pub async fn edit(&self, name: &str, spec: Value) {
        self.patch(name, json!({"spec": spec})).await.unwrap();
    }

    /// While this policy exists, the API server refuses these operations on every CodeLedger of the
    /// world. Like its binding, it has the name of the namespace.
    pub async fn refuse_ledgers(&self, operations: &[&str], message: &str) {
        let kind = |kind: &str, spec: Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": self.namespace}, "spec": spec})
        };
        let policy = json!({
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["phonemigration.dev"], "apiVersions": ["*"],
                "resources": ["codeledgers"], "operations": operations,
            }]},
            "validations": [{"expression": "false", "message": message}],
        });
        let namespace = json!({"kubernetes.io/metadata.name": self.ledger_namespace});
        let binding = json!({
            "policyName": self.namespace, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": namespace}},
        });
        let policy = kind("ValidatingAdmissionPolicy", policy);
        let binding = kind("ValidatingAdmissionPolicyBinding", binding);
        let manifests = format!("{policy}\n{binding}");
        self.plane.control.apply(&manifests).await.unwrap();
    }

    /// Makes the operator reconcile, and waits until it has: a code that it has not sent by then, it
    /// does not send.
    pub async fn looked(&self, name: &str) -> Value {
        let token = format!("{:?}", tokio::time::Instant::now());
        self.request(name, &token).await.unwrap();
        let seen = |status: &Value| status["lastHandledReconcileAt"] == *token;
        self.until(name, PATIENCE, seen).await.unwrap()
    }

    /// Changes `spec.retryToken`.
    pub async fn retry(&self, name: &str, token: &str) {
        self.edit(name, json!({"retryToken": token})).await;
    }
}

impl Operator {
    /// Waits until its metrics have this line.
    pub async fn until_metric(&mut self, line: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let metrics = self.http("/metrics").await.unwrap();
            if metrics.lines().any(|shown| shown == line) {
                return;
            }
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "{line} in {metrics}");
            tokio::time::sleep(5 * POLL).await;
        }
    }

    /// Submissions that this process made: an attempt's id is its nonce.
    pub fn calls(&self, world: &World) -> Vec<Entry> {
        let log = self.log();
        let claims = log.lines().filter(|line| line.contains("Attempt claimed"));
        let claims: Vec<&str> = claims.collect();
        let mut entries = world.sim.ledger();
        entries.retain(|entry| {
            let nonce = entry.nonce.as_deref().unwrap_or("?");
            entry.action == VERIFIED && claims.iter().any(|line| line.contains(nonce))
        });
        entries
    }
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the resource has a reason; returns its status.
pub async fn reason(world: &World, name: &str, wanted: &str) -> Value {
    reason_in(world, &world.namespace, name, wanted).await
}

/// The same in any namespace.
pub async fn reason_in(world: &World, namespace: &str, name: &str, wanted: &str) -> Value {
    let there = |status: &Value| crate::reason(status) == wanted;
    let status = world.until_in(namespace, name, PATIENCE, there).await;
    status.unwrap()
}

/// Waits until the resource is finished, one way or the other; returns its status.
pub async fn finished(world: &World, name: &str) -> Value {
    let done = |status: &Value| condition(status, "Finished") == "True";
    world.until(name, PATIENCE, done).await.unwrap()
}

/// Verified with the Id that the simulator gave the number.
pub fn assert_verified(status: &Value, phone: &str) {
    assert_eq!(crate::reason(status), "Verified", "{status}");
    assert_eq!(condition(status, "Ready"), "True", "{status}");
    assert_eq!(status["id"], format!("id-{phone}"), "{status}");
}

/// A final unknown: an end that needs a person, with no success anywhere.
pub fn assert_final_unknown(status: &Value) {
    assert_eq!(crate::reason(status), "OutcomeUnknown", "{status}");
    assert_eq!(condition(status, "Finished"), "True", "{status}");
    assert_eq!(condition(status, "Stalled"), "True", "{status}");
    assert_eq!(condition(status, "Ready"), "False", "{status}");
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
}

/// (Event reason, count) of one resource; a series counts with its own count.
pub async fn events(world: &World, name: &str) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    for event in world.events().await.unwrap() {
        let regarding = event.regarding.unwrap_or_default();
        if regarding.name.as_deref() == Some(name) {
            assert_eq!(regarding.kind.as_deref(), Some("PhoneMigration"));
            let controller = event.reporting_controller.unwrap_or_default();
            assert_eq!(controller, "phonemigration.dev/phone-migration-operator");
            assert!(event.note.is_some_and(|note| !note.is_empty()));
            assert!(event.action.is_some_and(|action| !action.is_empty()));
            let times = event.series.map_or(1, |series| series.count);
            *counts.entry(event.reason.unwrap_or_default()).or_default() += times;
        }
    }
    counts
}

/// Waits for these reasons, each as often as it is named; an Event follows the status write that it
/// reports.
pub async fn until_events(world: &World, name: &str, reasons: &[&str]) {
    let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
    for reason in reasons {
        *wanted.entry((*reason).to_owned()).or_default() += 1;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = events(world, name).await;
        if seen == wanted {
            return;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "{name}: {seen:?} instead of {wanted:?}");
        tokio::time::sleep(2 * POLL).await;
    }
}
