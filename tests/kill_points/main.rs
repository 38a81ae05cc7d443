//! The process dies, at each point of an attempt and at random: no code is submitted twice, and
//! what was executed is found again.
//!
//! Judged is by reads of the API server, the simulator's ledger, the audit log and what the
//! fault proxy saw. Every case ends with `World::finish`. The numbers in the names are those of
//! the reference cases and of their kill points. Cases of minutes: `-- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::World;
use harness::cams_simulator::{Entry, VERIFIED};
use serde_json::Value;

mod ends;
mod one;
mod point;
mod relay;
mod spread;
mod two;

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
    format!("86137{n:08}")
}

/// A code of number `n`; nothing else looks like it.
fn code(n: usize) -> String {
    format!("7393{n:04}")
}

/// Submissions of a number that were received.
fn calls(world: &World, phone: &str) -> Vec<Entry> {
    let mut entries = world.sim.ledger();
    entries.retain(|e| e.action == VERIFIED && e.phone.as_deref() == Some(phone));
    entries
}

/// How many submissions of a number were executed.
fn executed(world: &World, phone: &str) -> usize {
    calls(world, phone).iter().filter(|e| e.executed()).count()
}

/// Waits until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the resource has a reason.
async fn reason(world: &World, name: &str, wanted: &str) -> Value {
    let there = |status: &Value| harness::reason(status) == wanted;
    world.until(name, PATIENCE, there).await.unwrap()
}
