//! The API server as the operator sees it: stale, in conflict, or silent about what it did. A
//! fault proxy stands between the two; the test itself goes straight to the API server.
//!
//! Judged is by reads of the API server, the simulator's ledger, the audit log and what the
//! proxy saw. Every case ends with `World::finish`. The numbers in the names are those of the
//! reference cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::World;
use harness::cams_simulator::{Entry, VERIFIED};
use serde_json::Value;

mod claim;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
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

/// Waits until the resource has a reason.
async fn reason(world: &World, name: &str, wanted: &str) -> Value {
    let there = |status: &Value| harness::reason(status) == wanted;
    world.until(name, PATIENCE, there).await.unwrap()
}

/// Verified by one call, which carried the claim that is in status.
fn assert_verified_by_one_call(world: &World, status: &Value, phone: &str) {
    assert_eq!(status["id"], format!("id-{phone}"), "{status}");
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let calls = calls(world, phone);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].executed());
    assert_eq!(calls[0].nonce.as_deref(), status["attempt"]["id"].as_str());
}
