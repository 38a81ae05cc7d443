//! The operator's behaviour, on one control plane that all cases share. Each case has its own
//! namespace and simulated account, and judges nothing beyond them; a case that stops its API
//! server, or changes shared objects, starts its own control plane. Cases judge by reads of the API
//! server, the simulator's ledger, the audit log and the logs of proxies, and end with
//! `World::finish`. Numbers in names, such as `c07`, are those of the reference cases.
//!
//! Only `leaks::everything` searches further: in all of etcd. So no case writes the account's key,
//! or a number or code of another case, into anything but a Secret or a resource's spec.
//!
//! One module: `cargo test -p e2e faults::`. Cases of minutes: `-- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod kill_points;
mod leaks;
mod ledger;
mod main_job;
mod network;
mod observe;
mod plugin;
mod scripts;
mod sign_in;
mod states;
mod views;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-under-test");
