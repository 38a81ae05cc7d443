//! Nothing leaks, and nothing foreign gets in: the tests search all output for secrets, and try the
//! threats of `docs/threats.md`, whose numbers are in the names.

use harness::expect::{NEVER_FINAL, PATIENCE, SOON_FINAL, finished, reason, until};

use crate::OPERATOR;

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
mod types;
