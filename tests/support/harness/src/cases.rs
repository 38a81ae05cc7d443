//! The words of behaviour tests: what a case does, waits for and asserts. Each suite has them by
//! `use harness::cases::*`. They panic, as a test should.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Output;
pub use std::time::Duration;

use control_plane::Options;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use kube::api::{DynamicObject, PostParams};
use tempfile::TempDir;

pub use cams_simulator::{
    AccessKey, Entry, Fault, FaultRule, Number, READ_STATUS, Refusal, Release, Stage, VERIFIED,
};
pub use serde_json::{Value, json};
pub use tokio::time::Instant;

pub use crate::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, AuditEntry, FaultProxy, Migration, Operator, Rule, Then,
    When, World, claim_of, condition, message, outcome_of, shown_of,
};

use crate::{ControlPlane, Launch};

/// Flags with which a lost outcome becomes final about 5 s after it was signed.
pub const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// Flags with which a lost outcome does not become final while a case runs.
pub const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(50);

const POLL: Duration = Duration::from_millis(20);
/// How many rows of a table run at a time.
const AT_A_TIME: usize = 3;

/// Phone number `n` of a case.
pub fn phone(n: usize) -> String {
    format!("86138{n:08}")
}

/// The right code of number `n`; no other text looks like it.
pub fn code(n: usize) -> String {
    format!("7391{n:04}")
}

/// Runs a case for each row of a table; each has a world of its own. Says which row failed.
pub async fn for_each_row<T>(rows: impl IntoIterator<Item = T>, case: impl AsyncFn(T)) {
    let case = &case;
    let run = |(n, row)| async move {
        if let Err(panic) = AssertUnwindSafe(case(row)).catch_unwind().await {
            eprintln!("--- row {n} failed, counted from 0");
            resume_unwind(panic);
        }
    };
    let rows = stream::iter(rows.into_iter().enumerate());
    rows.for_each_concurrent(AT_A_TIME, run).await;
}

/// The text holds each of these parts.
#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// The text holds the parts of this quotation in their order; `…` stands for what is left out.
#[track_caller]
pub fn assert_quotes(text: &str, quotation: &str) {
    let mut rest = text;
    for part in quotation.split(" … ") {
        let after = rest.split_once(part).map(|(_, after)| after);
        rest = after.unwrap_or_else(|| panic!("{part} in {rest}, the rest of {text}"));
    }
}

/// `/livez` answers.
pub async fn assert_alive(operator: &mut Operator) {
    let reply = operator.http("/livez").await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `holds`, which asks a server.
pub async fn until_asked(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
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
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = events(world, name).await;
        if seen == wanted {
            return;
        }
        let late = Instant::now() > deadline;
        assert!(!late, "{name}: {seen:?} instead of {wanted:?}");
        tokio::time::sleep(2 * POLL).await;
    }
}

/// Waits for a reason and a part of the message; returns the status.
pub async fn says(world: &World, name: &str, wanted: &str, part: &str) -> Value {
    let there = |status: &Value| crate::reason(status) == wanted && message(status).contains(part);
    world.until_status(name, there).await
}

/// Waits until it is verified, with the number's Id; returns the status.
pub async fn verified(world: &World, name: &str, phone: &str) -> Value {
    let status = reason(world, name, "Verified").await;
    assert_verified(&status, phone);
    status
}

/// The account throttles, and asks for a pause of so many milliseconds.
pub fn busy(ms: u64) -> Fault {
    let busy = Refusal::new(400, "Throttling.User", "busy").retry_after_ms(ms);
    Fault::api(Stage::Counted, busy)
}

/// Runs `check` with the flags and the environment of an operator.
pub async fn check(launch: &Launch<'_>) -> Output {
    let mut command = tokio::process::Command::new(launch.binary);
    let environment = launch.env.iter().map(|(name, value)| (name, value));
    command
        .arg("check")
        .args(&launch.args)
        .env_clear()
        .envs(environment);
    command.output().await.unwrap()
}

/// A CodeLedger of this number with these entries.
pub fn ledger(name: &str, phone: &str, entries: Value) -> DynamicObject {
    let ledger = json!({"apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
        "metadata": {"name": name}, "spec": {"phoneNumber": phone}, "entries": entries});
    serde_json::from_value(ledger).unwrap()
}

/// A world on a control plane of its own, which the case may damage. The folder goes last.
pub async fn apart(binary: &str, name: &str) -> (TempDir, World) {
    let dir = TempDir::new().unwrap();
    let control = ControlPlane::start(dir.path(), Options::default()).await;
    let plane = crate::install(control.unwrap()).await.unwrap();
    let world = World::on(plane.into(), binary, name).await.unwrap();
    (dir, world)
}

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
        let token = format!("{:?}", Instant::now());
        self.request(name, &token).await.unwrap();
        let seen = |status: &Value| status["lastHandledReconcileAt"] == *token;
        self.until(name, PATIENCE, seen).await.unwrap()
    }

    /// Changes `spec.retryToken`.
    pub async fn retry(&self, name: &str, token: &str) {
        self.edit(name, json!({"retryToken": token})).await;
    }

    /// An operator with these flags that reaches the API server only through a proxy.
    pub async fn proxied(&self, flags: &[&str]) -> (FaultProxy, Operator) {
        let proxy = self.proxy().await.unwrap();
        let operator = self.operator_via(&proxy, flags).await.unwrap();
        (proxy, operator)
    }

    /// Creates the Secret, an operator with these flags, and then the PhoneMigration.
    pub async fn begin(&self, flags: &[&str], name: &str, phone: &str, code: &str) -> Operator {
        self.code(name, code).await.unwrap();
        let operator = self.start(flags).await;
        self.make(&Migration::new(name, phone)).await;
        operator
    }

    /// Creates number, Secret and PhoneMigration; CAMS takes only the code `right`.
    pub async fn offer(&self, name: &str, phone: &str, code: &str, right: &str) {
        self.number(phone, right, &format!("id-{phone}"));
        self.code(name, code).await.unwrap();
        self.make(&Migration::new(name, phone)).await;
    }

    /// Replaces the Secret by one with this code, and makes the operator reconcile.
    pub async fn replace_code(&self, name: &str, code: &str) {
        self.code(name, code).await.unwrap();
        let token = format!("{:?}", Instant::now());
        self.request(name, &token).await.unwrap();
    }

    /// The number is verified, and not by a code of this world: in the console, or earlier.
    pub fn verified_elsewhere(&self, phone: &str, code: &str, id: &str) {
        self.sim.add_number(Number::new(phone, code, id).verified());
    }

    /// The account's key has this secret from now on.
    pub fn key(&self, secret: &str) {
        self.sim.add_key(AccessKey::new(ACCESS_KEY_ID, secret));
    }

    /// Waits until the status of the PhoneMigration satisfies `holds`, and returns it.
    pub async fn until_status(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until(name, PATIENCE, holds).await.unwrap()
    }

    /// The status now.
    pub async fn status(&self, name: &str) -> Value {
        self.object(name).await["status"].clone()
    }

    /// The PhoneMigration now, as JSON.
    pub async fn object(&self, name: &str) -> Value {
        serde_json::to_value(self.get(name).await.unwrap()).unwrap()
    }

    /// Submissions of a number that were received, and those that were executed.
    pub fn counts(&self, phone: &str) -> (usize, usize) {
        (self.calls(phone).len(), self.executed(phone))
    }

    /// Another namespace, and both names for `--watch-namespaces`.
    pub async fn second_namespace(&self, suffix: &str) -> (String, String) {
        let other = format!("{}-{suffix}", self.namespace);
        self.namespace(&other).await.unwrap();
        let both = format!("{},{other}", self.namespace);
        (other, both)
    }

    /// Runs kubectl with these words, as the administrator; returns its output.
    pub async fn kubectl(&self, words: &str) -> String {
        let words = words.split_whitespace();
        self.plane.control.kubectl_ok(words).await.unwrap()
    }

    /// Creates a CodeLedger.
    pub async fn put_ledger(&self, ledger: &DynamicObject) {
        let (api, params) = (self.ledger_api(), PostParams::default());
        api.create(&params, ledger).await.unwrap();
    }

    /// What the API server would store of a CodeLedger.
    pub async fn try_ledger(&self, ledger: &DynamicObject) -> kube::Result<DynamicObject> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.ledger_api().create(&dry_run, ledger).await
    }

    /// Waits until the simulator holds a call; returns its number, for [`Self::go_on`].
    pub async fn held(&self) -> u64 {
        self.sim.wait_held(PATIENCE).await.unwrap().id
    }

    /// The held call goes on.
    pub fn go_on(&self, held: u64) {
        assert!(self.sim.release(held, Release::Continue));
    }
}

impl Operator {
    /// Waits until its metrics have this line.
    pub async fn until_metric(&mut self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.http("/metrics").await.unwrap();
            if metrics.lines().any(|shown| shown == line) {
                return;
            }
            let late = Instant::now() > deadline;
            assert!(!late, "{line} in {metrics}");
            tokio::time::sleep(2 * POLL).await;
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

    /// Waits until its log holds this text.
    pub async fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text} in {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }
}
