//! Operator that submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS
//! (`ChatappMigrationVerified`), each code at most once.
//!
//! Priorities, highest first: never submit a code twice; never lose an outcome; never leak a code
//! or a key; never exceed the quota; then be fast.
//!
//! The flow goes from top to bottom, and no folder imports a folder above it:
//!
//! | Folder | Does | Kind |
//! |---|---|---|
//! | [`app`] | wiring, shutdown, configuration, `check` | process |
//! | [`operator::controller`] | watches; reconcile: evaluate, write, execute | I/O driver |
//! | [`operator::attempt`] | the attempt protocol: pre-read, sign, claim, send, record, observe | I/O driver |
//! | [`operator::state`] | what this process remembers; the evaluation of a resource | in-memory state |
//! | [`quota`] | turns, send slots, pauses and holds of the account | pure except its dispatcher |
//! | [`cluster`] | every request to the API server: resources, Secrets, Events, the Lease | I/O |
//! | [`telemetry`] | logs, metrics, traces, probes | process |
//! | [`cams`] | every request to CAMS: sign, send once, classify | pure except its client |
//! | [`domain`] | the decisions: code, what to do next, what status says | pure |
//! | [`api`] | the resources, and the fixed words of their status | pure |
//! | [`clock`], [`secret`], [`tls`] | time and randomness; texts that cannot be printed; TLS | process |
//! | [`back_off`], [`hex`] | how long to wait after a failure; hex digits | pure |
//!
//! | Word | Means |
//! |---|---|
//! | attempt | one submission of one code for one number, from its claim to its outcome |
//! | claim | the entry that the operator stores in the ledger before it sends; at most one attempt gets it |
//! | ledger | the number's CodeLedger object: every attempt and how it ended; only the operator writes it |
//! | fingerprint | keyed hash of number and code: shows that two codes are equal, but not the code |
//! | turn | permission from the quota to begin an attempt, or to read the number's status first |
//! | slot | permission to send one request now; without it the account's rate could be exceeded |
//! | hold | circuit breaker of the account: no turn is granted until a probe succeeds |
//! | brake | circuit breaker against refusals: one code at a time until CAMS accepts one |
//! | pair | the resources of one namespace and one custSpaceId, which one wrong setting can affect |
//! | open | an attempt without a known outcome: the operator reads the status, and never sends again |
//! | final | after this time, by CAMS's clock, CAMS refuses the signature, so an open attempt can end |
//! | J | the pacer's allowance for the late arrival of a request |
//!
//! Pure modules use no clock, no client and nothing async: callers pass time and randomness as
//! values. `tests/architecture.rs` fails if a pure module breaks this rule, or if a folder imports
//! a higher one.

pub mod app;
pub mod back_off;
pub mod cams;
pub mod clock;
pub mod cluster;
pub mod domain;
pub mod hex;
pub mod operator;
pub mod quota;
pub mod secret;
pub mod telemetry;
pub mod tls;

/// The package in `src/api`. It is separate because `cli/` uses it too.
pub use phone_migration_api as api;
