//! What GitOps tools make of a PhoneMigration in every state: Flux's kstatus library and health
//! check expressions, Argo CD's health script in a Lua interpreter, Helm's `--wait`, server-side
//! apply. The objects are those that a real API server returns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod argo;
mod helm;
mod kstatus;
mod ownership;
mod states;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
