//! The API server as the operator sees it: stale, in conflict, or without a reply to a stored
//! write. A fault proxy is between the two; the test itself talks directly to the API server.

use harness::cams_simulator::Decision;
use harness::cases::*;

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

/// Reads of the Secret of a resource.
fn secret_of(name: &str) -> When {
    When::get("secrets").name(format!("{name}-code"))
}

/// Events about a resource.
fn event_of(name: &'static str) -> When {
    let about = move |event: &Value| event["regarding"]["name"] == name;
    When::create("events").body("about it", about)
}

/// Verified by one call, which carried the claim that is in status; returns the status.
async fn by_one_call(world: &World, name: &str, phone: &str) -> Value {
    let status = by_one_execution(world, name, phone).await;
    assert_eq!(world.calls(phone).len(), 1);
    status
}

/// The same, with calls before it that were throttled: many resources on a slow machine.
async fn by_one_execution(world: &World, name: &str, phone: &str) -> Value {
    let status = verified(world, name, phone).await;
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let mut calls = world.calls(phone);
    calls.retain(|call| call.decision != Decision::Throttled);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].executed());
    assert_eq!(calls[0].nonce.as_deref(), status["attempt"]["id"].as_str());
    status
}
