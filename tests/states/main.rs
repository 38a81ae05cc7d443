//! Every state of a PhoneMigration as people and tools see it, on the real API server, with the
//! CAMS simulator and the operator binary. Judged by reads of the API server, the simulator's
//! ledger and the audit log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod admission;
mod attempt;
mod cli;
mod codes;
mod events;
mod expect;
mod ownership;
mod process;
mod retry;
mod traces;
mod unknown;
mod waiting;
