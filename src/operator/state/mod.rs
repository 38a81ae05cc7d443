//! What this process remembers, and the evaluation of one resource from it.
//!
//! | Module | Holds |
//! |---|---|
//! | [`context`] | what all reconciles and attempts share; running tasks |
//! | [`memory`] | when each resource is due, its back-offs, the reads made for it. PURE |
//! | [`cached`] | what the cache keeps of a resource. PURE |
//! | [`views`], [`revisions`] | the state of each watch; whether etcd was restored |
//! | [`polls`] | when each Secret is read again. PURE |
//! | [`triggers`] | which resources to reconcile |
//! | [`numbers`] | which watched resources have which number. PURE |
//! | [`ledger_index`], [`ledgers`] | the ledgers as last seen; reads of a ledger |
//! | [`ledger_memory`] | claims never sent, back-offs of numbers, dry runs. PURE |
//! | [`secret_names`] | which resources name which Secret. PURE |
//! | [`sent`] | the attempts that this process has sent. PURE |
//! | [`observations`] | the open entries, and their status reads |
//! | [`evaluate`] | gather the inputs of a decision, and decide |
//! | [`status_writer`] | the only writer of status |
//!
//! Limits: all of this ends with the process. The ledgers hold what must survive it.

pub mod cached;
pub mod context;
pub mod evaluate;
pub mod ledger_index;
pub mod ledger_memory;
pub mod ledgers;
pub mod memory;
pub mod numbers;
pub mod observations;
pub mod polls;
pub mod revisions;
pub mod secret_names;
pub mod sent;
pub mod status_writer;
pub mod triggers;
pub mod views;
