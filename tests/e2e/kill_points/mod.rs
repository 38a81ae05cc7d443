//! The process dies, at each point of an attempt and at random: no code is submitted twice, and
//! every executed call is found again.
//!
//! The cases judge by reads of the API server, the simulator's ledger, the audit log and the fault
//! proxy's log. Every case ends with `World::finish`. The numbers in the names are those of the
//! reference cases and of their kill points. Cases of minutes: `-- --ignored`.

use harness::expect::{NEVER_FINAL, PATIENCE, SOON_FINAL, reason, until};

use crate::OPERATOR;

mod ends;
mod one;
mod point;
mod relay;
mod spread;
mod two;

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86137{n:08}")
}

/// A code of number `n`; no other text looks like it.
fn code(n: usize) -> String {
    format!("7393{n:04}")
}
