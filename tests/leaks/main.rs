//! Nothing leaks, and nothing strange gets in: secrets are searched for in everything that is
//! written, and the threats of `docs/threats.md` are tried. The numbers in the names are theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::expect::{NEVER_FINAL, PATIENCE, SOON_FINAL, finished, reason, until};

mod artefacts;
mod canary;
mod child;
mod everything;
mod guesses;
mod manifests;
mod panics;
mod process;
mod references;
mod replies;
mod secret_body;
mod series;
mod sizes;
mod spoilt;
mod threats;
mod types;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
