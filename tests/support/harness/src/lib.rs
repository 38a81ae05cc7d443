//! The operator binary, a real API server and the CAMS simulator, wired together.
//!
//! A [`World`] is one namespace, one simulated account and any number of operator processes, each
//! under the shipped ServiceAccount's token and RBAC. Tests of one binary share one control plane
//! and run in parallel. They judge by three things only: reads of the API server, the simulator's
//! ledger, and the audit log.
//!
//! [`World::finish`] checks the invariants after every case.
//!
//! [`World::proxy`] puts a fault proxy between an operator and the API server; the tests' own
//! client goes straight there. Random choices come from a [`Seed`]. A case that fails prints its
//! seed, its plan and one log by one clock: steps of the test, requests and faults of the proxies,
//! the simulator's ledger.

pub mod agreement;
mod binary;
pub mod books;
pub mod canary;
pub mod cases;
mod cluster;
mod crowd;
mod error;
mod events;
mod leaks;
mod operator;
mod rows;
mod seed;
mod sign_in;
mod through;
mod verdict;
mod world;

pub use binary::{operator_binary, plugin_binary};
pub use cams_simulator;
pub use cluster::{Plane, install, plane, repository};
pub use control_plane::{self, AuditEntry, ControlPlane};
pub use crowd::{crowd_code, crowd_name, crowd_phone};
pub use error::{Error, Result};
pub use fault_proxy::{self, FaultProxy, FrameThen, Process, Recording, Rule, Then, When};
pub use leaks::without_user_input;
pub use operator::{Launch, Operator};
pub use rows::{made_up_row, made_up_verified};
pub use seed::{Seed, for_each_seed, seeds};
pub use sign_in::{AUDIENCE, PROVIDER, ROLE};
pub use through::{claim_of, outcome_of, shown_of};
pub use verdict::{Figures, is_granted, requests_of};
pub use world::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, FINGERPRINT_KEY, Migration, SECURITY_TOKEN, World, condition,
    message, reason,
};
