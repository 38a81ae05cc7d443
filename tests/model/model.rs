//! The attempt protocol, explored exhaustively within small bounds, with the production code making
//! every decision: import, claim, put back and record (`domain::ledger`), `decide`, `status`, the
//! rules of the attempt, `sent`, `classify` and the parsing of replies.
//!
//! Two resources of one number, two processes without leader election, a ledger without CEL rules,
//! a service that throttles, loses and delays. `safe` has the properties that must hold; `removed`
//! takes one protection away at a time and asserts that the checker finds the violation that it
//! prevents. Numbers: `cargo test -p model -- --nocapture`; ways to the violations with
//! MODEL_PATHS=1.
//!
//! Not modelled: holds, dry runs, `LedgerUnreadable`, limits of 5, 20 and 40, `retryToken`, lags of
//! index and cache, retention, and the end of an imported entry by its age alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bridge;
mod check;
mod properties;
mod protocol;
mod reach;
mod records;
mod removed;
mod replica;
mod safe;
mod scope;
mod service;
mod state;
mod store;
mod world;
