//! The properties that hold with every protection in place.

use crate::check::holds;
use crate::scope::{Fault, Scope};

/// Faults of the service and of the way to it.
const CALLS: &[Fault] = &[
    Fault::Crash,
    Fault::LostReply,
    Fault::LostRequest,
    Fault::Repeated,
    Fault::Throttle,
    Fault::Block,
    Fault::FailedRead,
    Fault::ShutGate,
];

/// Faults of the API server and of the way to it.
const WRITES: &[Fault] = &[
    Fault::Crash,
    Fault::LostReply,
    Fault::Throttle,
    Fault::LostWrite,
    Fault::LateWrite,
    Fault::LateStatus,
    Fault::SlowLedger,
];

/// Faults of statuses and resources.
const STATUSES: &[Fault] = &[
    Fault::Crash,
    Fault::LostReply,
    Fault::Throttle,
    Fault::LateStatus,
    Fault::Wipe,
    Fault::RestoreStatus,
    Fault::Recreate,
];

/// Faults of the ledger.
const LEDGERS: &[Fault] = &[
    Fault::Crash,
    Fault::LostReply,
    Fault::LateWrite,
    Fault::Delete,
    Fault::RestoreOlder,
    Fault::RestoreNewer,
];

#[test]
fn two_resources() {
    holds("2 resources, 1 code", Scope::new(2, &[0, 0], 0, &[]));
    holds(
        "the same, 1 fault of a call",
        Scope::new(2, &[0, 0], 1, CALLS),
    );
}

#[test]
fn one_process() {
    holds(
        "1 process, 2 codes, 2 faults of calls",
        Scope::new(1, &[0, 1], 2, CALLS),
    );
    holds(
        "1 process, 1 code, 2 faults of writes",
        Scope::new(1, &[0, 0], 2, WRITES),
    );
}

#[test]
fn writes() {
    holds(
        "1 resource, 1 fault of a write",
        Scope::new(2, &[0], 1, WRITES),
    );
}

#[test]
fn statuses() {
    holds(
        "1 resource, 1 fault of a status",
        Scope::new(2, &[0], 1, STATUSES),
    );
    holds(
        "1 process, 2 faults of statuses",
        Scope::new(1, &[0, 0], 2, STATUSES),
    );
}

#[test]
fn ledgers() {
    holds(
        "1 resource, 1 fault of the ledger",
        Scope::new(2, &[0], 1, LEDGERS),
    );
    let kinds = [Fault::Delete, Fault::Crash, Fault::LostReply];
    holds(
        "1 process, 2 codes, ledger deleted",
        Scope::new(1, &[0, 1], 2, &kinds),
    );
}

#[test]
fn rotations() {
    holds(
        "1 process, 3 values in turn",
        Scope::new(1, &[0], 1, CALLS).rotations(2),
    );
    holds(
        "2 keys, 3 values in turn",
        Scope::new(2, &[0], 0, &[]).keys().rotations(2),
    );
}

#[test]
fn clocks() {
    let kinds = [Fault::LostReply, Fault::Crash, Fault::LostRequest];
    holds("a gateway behind", Scope::new(2, &[0], 1, &kinds).behind(2));
    holds("a gateway ahead", Scope::new(2, &[0], 1, &kinds).ahead(2));
}

#[test]
#[ignore = "minutes: cargo test -p model -- --ignored --nocapture"]
fn two_resources_and_a_fault_of_a_write() {
    holds(
        "2 resources, 1 fault of a write",
        Scope::new(2, &[0, 0], 1, WRITES),
    );
}

#[test]
#[ignore = "minutes: cargo test -p model -- --ignored --nocapture"]
fn two_resources_and_two_codes() {
    let kinds = [Fault::LostReply, Fault::Throttle, Fault::Crash];
    holds("2 resources, 2 codes", Scope::new(2, &[0, 1], 1, &kinds));
}

#[test]
#[ignore = "minutes: cargo test -p model -- --ignored --nocapture"]
fn two_faults_of_statuses() {
    holds(
        "1 resource, 2 faults of statuses",
        Scope::new(2, &[0], 2, STATUSES),
    );
}

#[test]
#[ignore = "minutes: cargo test -p model -- --ignored --nocapture"]
fn two_faults_of_the_ledger() {
    holds(
        "1 resource, 2 faults of the ledger",
        Scope::new(2, &[0], 2, LEDGERS),
    );
    holds(
        "1 process, 2 resources, 2 faults of the ledger",
        Scope::new(1, &[0, 0], 2, LEDGERS),
    );
}

#[test]
#[ignore = "minutes: cargo test -p model -- --ignored --nocapture"]
fn two_codes_and_a_ledger_restored() {
    let kinds = [Fault::RestoreOlder, Fault::RestoreNewer, Fault::LostReply];
    holds(
        "1 process, 2 codes, restored twice",
        Scope::new(1, &[0, 1], 2, &kinds),
    );
    let kinds = [Fault::Delete, Fault::LateWrite];
    holds(
        "2 resources, 1 code, ledger deleted",
        Scope::new(2, &[0, 0], 1, &kinds),
    );
}
