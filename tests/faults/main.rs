//! Faults of CAMS, of the API server, of the process and of people, against the real binary.
//!
//! Judged is by reads of the API server, the simulator's ledger and the audit log only. Every
//! case ends with `World::finish`, which checks what must hold after every one of them. The
//! numbers in the names are those of the reference cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::World;
use harness::cams_simulator::{Entry, FaultRule, VERIFIED};
use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

mod account;
mod answers;
mod cluster;
mod forged;
mod lost;
mod process;
mod sameness;
mod spread;
mod terminate;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
/// With this a lost outcome becomes final about 5 s after it was signed.
const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// With this it does not become final while a case runs.
const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(50);

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86138{n:08}")
}

/// A right code of number `n`; nothing else looks like it.
fn code(n: usize) -> String {
    format!("7391{n:04}")
}

/// Submissions of a number that were received.
fn calls(world: &World, phone: &str) -> Vec<Entry> {
    world.calls(phone)
}

/// How many submissions of a number were executed.
fn executed(world: &World, phone: &str) -> usize {
    world.executed(phone)
}

/// Status reads of a number that were received.
fn reads(world: &World, phone: &str) -> Vec<Entry> {
    world.reads(phone)
}

/// A rule for the next submission of a number only.
fn next_call(phone: &str, fault: harness::cams_simulator::Fault) -> FaultRule {
    FaultRule::new(fault).action(VERIFIED).phone(phone).once()
}

/// Waits until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the one Event of a reason: nothing else waits for it.
async fn told(world: &World, wanted: &str) -> Event {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut events = world.events().await.unwrap();
        events.retain(|event| event.reason.as_deref() == Some(wanted));
        assert!(events.len() <= 1, "{events:?}");
        if let Some(event) = events.pop() {
            return event;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until status is finished, one way or the other.
async fn finished(world: &World, name: &str) -> Value {
    let done = |status: &Value| harness::condition(status, "Finished") == "True";
    world.until(name, PATIENCE, done).await.unwrap()
}

/// Waits until the resource has a reason, longer than `World::until_reason` does.
async fn reason(world: &World, name: &str, wanted: &str) -> Value {
    let there = |status: &Value| harness::reason(status) == wanted;
    world.until(name, PATIENCE, there).await.unwrap()
}

/// Makes the operator look again and waits until it did.
async fn look_again(world: &World, name: &str, token: &str) -> Value {
    world.request(name, token).await.unwrap();
    let seen = |status: &Value| status["lastHandledReconcileAt"] == token;
    world.until(name, PATIENCE, seen).await.unwrap()
}

/// A final unknown: an end that asks for a person, with no success anywhere.
fn assert_final_unknown(status: &Value) {
    assert_eq!(harness::reason(status), "OutcomeUnknown", "{status}");
    assert_eq!(harness::condition(status, "Finished"), "True", "{status}");
    assert_eq!(harness::condition(status, "Stalled"), "True", "{status}");
    assert_eq!(harness::condition(status, "Ready"), "False", "{status}");
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
}

/// Verified with the Id that the simulator gave the number.
fn assert_verified(status: &Value, phone: &str) {
    assert_eq!(harness::reason(status), "Verified", "{status}");
    assert_eq!(harness::condition(status, "Ready"), "True", "{status}");
    assert_eq!(status["id"], format!("id-{phone}"), "{status}");
}
