//! Every state of a PhoneMigration as people and tools see it, on the real API server, with the
//! CAMS simulator and the operator binary. Judged by reads of the API server, the simulator's
//! ledger and the audit log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod attempt;
mod expect;
mod unknown;
mod waiting;
