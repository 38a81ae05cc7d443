//! The process dies, at each point of an attempt and at random: no code is submitted twice, and
//! every executed call is found again.
//!
//! `k0` and so on in the names are the kill points. Cases of minutes: `-- --ignored`.

use harness::cases::*;

use crate::OPERATOR;

mod ends;
mod one;
mod point;
mod relay;
mod spread;
mod two;
