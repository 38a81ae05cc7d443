//! What holds with every protection in place.

use crate::check::holds;
use crate::scope::{CLOUD, Cloud, Fault, Scope};

/// Everything but repetition, which has a scope of its own.
const ANY: &[Fault] = &[
    Fault::Crash,
    Fault::LostReply,
    Fault::LostRequest,
    Fault::Throttle,
    Fault::Block,
    Fault::ServerFailure,
    Fault::LostWrite,
    Fault::LateWrite,
    Fault::FailedRead,
    Fault::ShutGate,
];

#[test]
fn one_replica_with_any_two_faults() {
    holds("1 replica, 2 faults", Scope::new(1, 2, ANY));
}

#[test]
fn two_replicas_with_any_fault() {
    holds("2 replicas, 1 fault", Scope::new(2, 1, ANY));
}

#[test]
fn two_codes_in_turn_with_any_fault() {
    holds(
        "1 replica, 1 fault, 3 values",
        Scope::new(1, 1, ANY).rotations(2),
    );
}

/// Minutes in a debug build.
#[test]
#[ignore = "300,000 states: cargo test --test model -- --ignored --nocapture"]
fn two_replicas_and_two_codes() {
    let kinds = [Fault::Crash];
    holds(
        "2 replicas, 1 crash, 2 values",
        Scope::new(2, 1, &kinds).rotations(1),
    );
}

#[test]
fn a_request_that_is_repeated_on_its_way() {
    let kinds = [
        Fault::Repeated,
        Fault::Throttle,
        Fault::LostReply,
        Fault::Crash,
    ];
    holds("1 replica, repetition, 2 faults", Scope::new(1, 2, &kinds));
}

#[test]
fn a_resource_that_loses_its_status() {
    let kinds = [Fault::LostReply, Fault::Throttle, Fault::FailedRead];
    let scope = Scope::new(1, 1, &kinds).wipes(1).adopting();
    holds("1 replica, 1 fault, status lost", scope);
}

#[test]
fn a_service_whose_clock_is_behind() {
    let cloud = Cloud {
        behind: 2,
        retention: 3,
        ..CLOUD
    };
    let kinds = [Fault::LostReply, Fault::Crash];
    holds(
        "1 replica, 2 faults, clock behind",
        Scope::new(1, 2, &kinds).cloud(cloud),
    );
}
