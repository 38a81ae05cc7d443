//! Nothing leaks, and nothing foreign gets in: the tests search all output for secrets, and try the
//! threats of `docs/threats.md`, whose numbers are in the names.

use harness::cases::*;

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
