//! The process dies, at each point of an attempt and at random: no code is submitted twice, and
//! what was executed is found again.
//!
//! Judged is by reads of the API server, the simulator's ledger, the audit log and what the
//! fault proxy saw. Every case ends with `World::finish`. The numbers in the names are those of
//! the reference cases and of their kill points. Cases of minutes: `-- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::expect::{NEVER_FINAL, PATIENCE, SOON_FINAL, reason, until};

mod ends;
mod one;
mod point;
mod relay;
mod spread;
mod two;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86137{n:08}")
}

/// A code of number `n`; nothing else looks like it.
fn code(n: usize) -> String {
    format!("7393{n:04}")
}
