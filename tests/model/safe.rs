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
    Fault::StaleRead,
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
fn two_replicas_that_act_on_stale_reads() {
    let kinds = [Fault::StaleRead];
    holds("2 replicas, 1 stale read", Scope::new(2, 1, &kinds));
}

#[test]
fn two_replicas_and_two_codes() {
    holds("2 replicas, 2 values", Scope::new(2, 0, &[]).rotations(1));
}

#[test]
fn two_codes_in_turn_with_any_fault() {
    holds(
        "1 replica, 1 fault, 3 values",
        Scope::new(1, 1, ANY).rotations(2),
    );
}

#[test]
fn a_request_that_is_repeated_on_its_way() {
    let kinds = [
        Fault::Repeated,
        Fault::Throttle,
        Fault::Block,
        Fault::LostReply,
        Fault::Crash,
    ];
    holds("1 replica, repetition, 3 faults", Scope::new(1, 3, &kinds));
}

#[test]
fn a_resource_that_loses_its_status() {
    let kinds = [Fault::LostReply, Fault::Throttle];
    let scope = Scope::new(1, 1, &kinds).wipes(1).adopting();
    holds("1 replica, 1 fault, status lost", scope.clone());
    // With another code in its place, only a read that shows the verification at once tells
    // "already verified" from "wrong code".
    let cloud = Cloud { lag: 0, ..CLOUD };
    let scope = scope.rotations(1).cloud(cloud);
    holds("the same, 2 values, reads without lag", scope);
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

#[test]
#[ignore = "minutes: cargo test --test model -- --ignored --nocapture"]
fn two_replicas_and_two_codes_with_a_crash() {
    let scope = Scope::new(2, 1, &[Fault::Crash]).rotations(1);
    holds("2 replicas, 1 crash, 2 values", scope);
}

#[test]
#[ignore = "minutes: cargo test --test model -- --ignored --nocapture"]
fn two_replicas_with_any_two_faults() {
    holds("2 replicas, 2 faults", Scope::new(2, 2, ANY));
}

#[test]
#[ignore = "minutes: cargo test --test model -- --ignored --nocapture"]
fn one_replica_with_any_three_faults_and_two_codes() {
    holds(
        "1 replica, 3 faults, 2 values",
        Scope::new(1, 3, ANY).rotations(1),
    );
}
