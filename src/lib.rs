//! Operator that submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS
//! (`ChatappMigrationVerified`), each code at most once.
//!
//! In the order of virtues: never submit a code twice; never lose an outcome; never leak a code
//! or a key; never exceed the quota; then be fast.
//!
//! | Module | Does | Kind |
//! |---|---|---|
//! | [`crd`], [`reason`] | the resource and the closed sets that its status speaks in | pure |
//! | [`code`] | the one-time code: cleaning, fingerprint, sameness | pure |
//! | [`decide`], [`reads`] | what to do next; when to read a number's status | pure |
//! | [`fact`], [`status`], [`message`], [`events`] | what happened -> what status and Events say | pure |
//! | [`siblings`], [`spent`], [`visits`], [`context`] | what this process remembers | memory |
//! | [`cluster`], [`secret_body`] | every request to the API server | I/O |
//! | [`event_queue`] | Events on their way: nothing waits for them | I/O |
//! | [`cams`] | every request to CAMS: sign, send once, classify | pure but for its client |
//! | [`quota`] | turns, send slots, pauses and holds | pure but for its dispatcher |
//! | [`look`], [`record`] | look at a resource; record an outcome | drives |
//! | [`status_read`] | one read of a number's status, in the quota of reads | drives |
//! | [`observe`], [`act`] | outcomes that are not known; carrying out a decision | drives |
//! | [`attempt`], [`reconcile`] | the attempt protocol; one visit to one resource | drives |
//! | [`lease`] | leader election: when to take the Lease (pure), and its task | drives |
//! | [`controller`], [`operator`] | watches, wiring, shutdown | drives |
//! | [`check`] | is everything there that a run needs? | drives |
//! | [`config`], [`telemetry`], [`tls`], [`metrics`], [`server`], [`clock`], [`secret`] | the process | ends |
//!
//! Pure modules name no clock, no client and nothing async: time and randomness come in as
//! values. `tests/house.rs` fails when one does.

pub mod act;
pub mod attempt;
pub mod cams;
pub mod check;
pub mod clock;
pub mod cluster;
pub mod code;
pub mod config;
pub mod context;
pub mod controller;
pub mod crd;
pub mod decide;
pub mod event_queue;
pub mod events;
pub mod fact;
pub mod lease;
pub mod look;
pub mod message;
pub mod metrics;
pub mod observe;
pub mod operator;
pub mod quota;
pub mod reads;
pub mod reason;
pub mod reconcile;
pub mod record;
pub mod secret;
pub mod secret_body;
pub mod server;
pub mod siblings;
pub mod spent;
pub mod status;
pub mod status_read;
pub mod telemetry;
pub mod tls;
pub mod visits;
