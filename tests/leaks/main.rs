//! Nothing leaks, and nothing strange gets in: secrets are searched for in everything that is
//! written, and the threats of `docs/threats.md` are tried. The numbers in the names are theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::World;
use serde_json::Value;

mod artefacts;
mod canary;
mod child;
mod everything;
mod guesses;
mod manifests;
mod panics;
mod process;
mod references;
mod replies;
mod secret_body;
mod series;
mod sizes;
mod spoilt;
mod threats;
mod types;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
/// With this a lost outcome becomes final about 5 s after it was signed.
const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// With this it does not become final while a case runs.
const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(50);

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

/// Waits until status is finished, one way or the other.
async fn finished(world: &World, name: &str) -> Value {
    let done = |status: &Value| harness::condition(status, "Finished") == "True";
    world.until(name, PATIENCE, done).await.unwrap()
}
