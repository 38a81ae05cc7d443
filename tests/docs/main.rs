//! The documentation: the references are what the CRD and the command line say, links lead
//! somewhere, and what a page names exists.
//!
//! The references are written by these tests: `UPDATE_DOCS=1 cargo test --test docs reference`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flags;
mod links;
mod names;
mod page;
mod reasons;
mod resource;
