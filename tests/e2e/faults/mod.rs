//! Faults of CAMS, of the API server, of the process and of people, against the real binary.

use harness::cases::*;
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

/// Waits for the one Event of a reason: no other wait covers it.
async fn told(world: &World, wanted: &str) -> Event {
    let mut told = Vec::new();
    let is_told = async || {
        told = world.events().await.unwrap();
        told.retain(|event| event.reason.as_deref() == Some(wanted));
        !told.is_empty()
    };
    until_asked(wanted, is_told).await;
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}
