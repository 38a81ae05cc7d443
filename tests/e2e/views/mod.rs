//! The API server as the operator sees it: stale, in conflict, or without a reply to a stored
//! write. A fault proxy is between the two; the test itself talks directly to the API server.
//!
//! The cases judge by reads of the API server, the simulator's ledger, the audit log and the
//! proxy's log. Every case ends with `World::finish`. The numbers in the names are those of the
//! reference cases.

use harness::cams_simulator::Decision;
use harness::expect::{
    NEVER_FINAL, PATIENCE, SOON_FINAL, assert_verified, finished, reason, until,
};
use harness::{When, World};
use serde_json::Value;

use crate::OPERATOR;

mod blind;
mod bodies;
mod claim;
mod events;
mod outcome;
mod readiness;
mod refused;
mod replay;
mod request;
mod stale;
mod turn;
mod two;
mod zombie;

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86139{n:08}")
}

/// A right code of number `n`; no other text looks like it.
fn code(n: usize) -> String {
    format!("7392{n:04}")
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

/// Verified by one call, which carried the claim that is in status.
fn assert_verified_by_one_call(world: &World, status: &Value, phone: &str) {
    assert_eq!(world.calls(phone).len(), 1);
    assert_verified_by_one_execution(world, status, phone);
}

/// The same, with calls before it that were throttled: many resources on a slow machine.
fn assert_verified_by_one_execution(world: &World, status: &Value, phone: &str) {
    assert_verified(status, phone);
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let mut calls = world.calls(phone);
    calls.retain(|call| call.decision != Decision::Throttled);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].executed());
    assert_eq!(calls[0].nonce.as_deref(), status["attempt"]["id"].as_str());
}
