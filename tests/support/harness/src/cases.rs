//! The words of behaviour tests. Each suite has them by `use harness::cases::*`.
#![allow(clippy::unwrap_used, clippy::panic)]

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

pub use crate::expect::*;
pub use crate::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, AuditEntry, FaultProxy, Migration, Operator, Rule, Then,
    When, World, claim_of, condition, message, outcome_of, shown_of,
};

use crate::{ControlPlane, Launch};

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

/// Waits until `holds`, which asks a server.
pub async fn until_asked(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(POLL).await;
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
    /// Waits until its log holds this text.
    pub async fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text} in {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }
}
