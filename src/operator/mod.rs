//! The engine: it executes the decisions of `domain`.
//!
//! | Folder | Does |
//! |---|---|
//! | [`controller`] | watches; reconciles one resource |
//! | [`attempt`] | the attempt protocol: pre-read, sign, claim, send, record, observe |
//! | [`state`] | the in-memory state |

pub mod attempt;
pub mod controller;
pub mod state;
