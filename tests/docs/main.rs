//! The documentation: the references equal the CRD and the command line, the diagram of the states
//! equals the operator's decisions, links have targets, and everything that a page names exists.
//!
//! These tests write references and diagram: `UPDATE_DOCS=1 cargo test --test docs reference`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flags;
mod links;
mod names;
mod page;
mod reasons;
mod resource;
mod states;
#[path = "../pure/world.rs"]
#[allow(dead_code)]
mod world;
