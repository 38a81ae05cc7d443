//! Cases that judge when calls arrive: no other test may run at the same time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pacing;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-under-test");
