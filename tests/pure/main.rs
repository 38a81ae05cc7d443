//! The pure layer: the known codes of a number, the decision, and the status. Tables for the rows
//! of the protocol, properties for every possible ledger and status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbitrary;
mod asked;
mod decide_properties;
mod decide_table;
mod decide_waits;
mod ledger;
mod ledger_properties;
mod number_memory;
mod polls;
mod reads;
mod reconcile_memory;
mod rules;
mod schema;
mod states;
mod status_properties;
mod view;
mod world;
