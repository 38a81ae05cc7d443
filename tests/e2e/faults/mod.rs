//! Faults of CAMS, of the API server, of the process and of people, against the real binary.
//!
//! The cases judge by reads of the API server, the simulator's ledger and the audit log only. Every
//! case ends with `World::finish`, which checks the common invariants. The numbers in the names are
//! those of the reference cases.

use std::time::Duration;

use harness::World;
use harness::expect::{
    NEVER_FINAL, PATIENCE, SOON_FINAL, assert_final_unknown, assert_verified, finished, reason,
    until,
};
use k8s_openapi::api::events::v1::Event;

use crate::OPERATOR;

mod account;
mod answers;
mod cluster;
mod forged;
mod lost;
mod process;
mod sameness;
mod spread;
mod surroundings;
mod terminate;

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86138{n:08}")
}

/// A right code of number `n`; no other text looks like it.
fn code(n: usize) -> String {
    format!("7391{n:04}")
}

/// Waits for the one Event of a reason: no other wait covers it.
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
