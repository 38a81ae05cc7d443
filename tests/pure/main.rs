//! The pure layer: what is decided, and what status says of it. Tables for every row of the
//! state table, properties for everything that a status may hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbitrary;
mod decide_open;
mod decide_properties;
mod decide_spent;
mod decide_table;
mod decide_token;
mod events;
mod memory;
mod reads;
mod schema;
mod status_outcomes;
mod status_properties;
mod status_table;
mod world;
