//! What behaviour tests wait for and insist on. Everything here panics, as a test should.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::Value;

use crate::{World, condition};

/// Flags with which a lost outcome becomes final about 5 s after it was signed.
pub const SOON_FINAL: &[&str] = &["--signature-validity", "2s"];
/// Flags with which a lost outcome does not become final while a case runs.
pub const NEVER_FINAL: &[&str] = &["--signature-validity", "10m"];
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(50);

const POLL: Duration = Duration::from_millis(10);

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
    let there = |status: &Value| crate::reason(status) == wanted;
    world.until(name, PATIENCE, there).await.unwrap()
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
