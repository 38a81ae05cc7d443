//! The attempt protocol, explored exhaustively within small bounds, with the production code
//! making every decision: `decide`, `status`, `reads`, `spent`, sameness, `classify`, the parsing
//! of replies, and the rules of the attempt.
//!
//! `safe` holds what must hold; `removed` takes one protection away at a time and asserts that
//! the checker finds what it was for; `assumed` names what is taken for granted of the cloud, and
//! shows what happens where it is wrong; `drift` stops compiling when the production types grow
//! a case that the model does not know. Numbers: `cargo test --test model -- --nocapture`; ways
//! to the violations with MODEL_PATHS=1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answer;
mod assumed;
mod check;
mod drift;
mod key;
mod memory;
mod observation;
mod properties;
mod protocol;
mod reach;
mod removed;
mod replica;
mod safe;
mod scope;
mod service;
mod state;
mod store;
mod world;
