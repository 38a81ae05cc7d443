//! The operator binary, a real API server and the CAMS simulator, wired together.
//!
//! A [`World`] is one namespace, one simulated account and any number of operator processes,
//! each under the shipped ServiceAccount's token and RBAC. Tests of one binary share one control
//! plane and run side by side. Judged is by three things only: what reads of the API server
//! show, the simulator's ledger, and the audit log.
//!
//! [`World::finish`] checks what must hold after every case.

mod cluster;
mod crowd;
mod error;
mod operator;
mod verdict;
mod world;

pub use cams_simulator;
pub use cluster::{Plane, install, plane, repository};
pub use control_plane::{self, AuditEntry, ControlPlane};
pub use crowd::{crowd_code, crowd_name, crowd_phone};
pub use error::{Error, Result};
pub use operator::{Launch, Operator};
pub use verdict::{Figures, requests_of};
pub use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Migration, World, condition, reason};
