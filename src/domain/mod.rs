//! The decisions: values in, values out. PURE.
//!
//! | Module | Holds |
//! |---|---|
//! | [`code`] | the one-time code: cleaning, expiry, fingerprint |
//! | [`ledger`] | the codes submitted for a number, and how a write changes that record |
//! | [`decide`], [`reads`] | what to do next; when to read a number's status |
//! | [`fact`], [`status`] | what happened -> what status and Events say |
//!
//! This code uses no client, clock, task or log, so that a model checker and table tests can run
//! it.

pub mod code;
pub mod decide;
pub mod fact;
pub mod ledger;
pub mod reads;
pub mod status;
