//! The API server as the operator sees it: stale, in conflict, or silent about what it did. A
//! fault proxy stands between the two; the test itself goes straight to the API server.
//!
//! Judged is by reads of the API server, the simulator's ledger, the audit log and what the
//! proxy saw. Every case ends with `World::finish`. The numbers in the names are those of the
//! reference cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::cams_simulator::{Decision, Entry, VERIFIED};
use harness::{When, World};
use serde_json::Value;

mod bodies;
mod claim;
mod events;
mod outcome;
mod readiness;
mod refused;
mod replay;
mod stale;
mod turn;
mod zombie;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
/// With this a lost outcome becomes final about 5 s after it was signed.
const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// With this a lost outcome does not become final while a case runs.
const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(50);

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86139{n:08}")
}

/// A right code of number `n`; nothing else looks like it.
fn code(n: usize) -> String {
    format!("7392{n:04}")
}

/// Submissions of a number that were received.
fn calls(world: &World, phone: &str) -> Vec<Entry> {
    let mut entries = world.sim.ledger();
    entries.retain(|e| e.action == VERIFIED && e.phone.as_deref() == Some(phone));
    entries
}

/// Reads of the Secret of a resource.
fn secret_of(name: &str) -> When {
    When::get("secrets").name(format!("{name}-code"))
}

/// Events about a resource.
fn event_of(name: &'static str) -> When {
    let about = move |event: &Value| event["regarding"]["name"] == name;
    When::create("events").body("about it", about)
}

/// Waits until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the resource has a reason.
async fn reason(world: &World, name: &str, wanted: &str) -> Value {
    let there = |status: &Value| harness::reason(status) == wanted;
    world.until(name, PATIENCE, there).await.unwrap()
}

/// Verified with the Id that the simulator gave the number.
fn assert_verified(status: &Value, phone: &str) {
    assert_eq!(harness::reason(status), "Verified", "{status}");
    assert_eq!(status["id"], format!("id-{phone}"), "{status}");
}

/// Verified by one call, which carried the claim that is in status.
fn assert_verified_by_one_call(world: &World, status: &Value, phone: &str) {
    assert_eq!(calls(world, phone).len(), 1);
    assert_verified_by_one_execution(world, status, phone);
}

/// The same, with calls before it that were throttled: many resources on a slow machine.
fn assert_verified_by_one_execution(world: &World, status: &Value, phone: &str) {
    assert_verified(status, phone);
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let mut calls = calls(world, phone);
    calls.retain(|call| call.decision != Decision::Throttled);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].executed());
    assert_eq!(calls[0].nonce.as_deref(), status["attempt"]["id"].as_str());
}
