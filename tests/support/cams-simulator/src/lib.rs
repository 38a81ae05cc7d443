//! A loopback simulator of the RPC gateway in front of Alibaba Cloud CAMS, for tests.
//!
//! It checks signatures (v1 and V3), timestamps, nonces, quotas and permissions, executes the four
//! migration actions and the status read, keeps a ledger of all received and executed requests, and
//! fails in the ways a test asks for. Official SDKs talk to it and so judge its faithfulness. Where
//! the real service is undocumented, a setting selects the behaviour, so that a test can try both
//! answers.
//!
//! It also simulates the Security Token Service at the same address: roles, tokens of a cluster
//! that it checks against the cluster's keys, and temporary keys that the gateway accepts until
//! they end.
//!
//! It shares no code with the operator: an error in one would be mirrored by the other.
//!
//! In a test: [`Simulator::start`] with a [`Config`], then the methods of [`Simulator`]. From
//! outside: the binary prints both URLs; the admin URL takes the same as JSON, with the types of
//! this crate (see [`ADMIN_ROUTES`]).
//!
//! A request passes the stages received, counted, executed, half replied, replied ([`Stage`]); a
//! [`FaultRule`] says which requests meet which [`Fault`] at which stage.
//!
//! ```
//! use cams_simulator::{AccessKey, Config, Fault, FaultRule, Number, Simulator, Stage, VERIFIED};
//!
//! let simulator = Simulator::start(Config::with_key(AccessKey::new("id", "secret")))?;
//! simulator.add_number(Number::new("8613800001234", "828798", "82828893332"));
//! // The first verification is executed and its reply lost.
//! let lost = FaultRule::new(Fault::close(Stage::Executed)).action(VERIFIED).once();
//! simulator.add_fault(lost)?;
//! // … point a client at simulator.url() …
//! assert_eq!(simulator.summary().max_executed_per_code, 0);
//! # Ok::<(), cams_simulator::Error>(())
//! ```
//!
//! Limits: loopback and plain HTTP only; requests up to 64 KiB of header and 1 MiB of body; one
//! thread. The ledger holds codes in clear and grows until it is cleared.

mod admin;
mod call;
mod checks;
mod clock;
mod config;
mod credentials;
pub mod encoding;
mod exchange;
mod fault;
mod gateway;
mod held;
mod http;
mod jwt;
mod ledger;
mod metadata;
mod nonces;
mod numbers;
mod quota;
mod reply;
mod rng;
mod rules;
mod settings;
pub mod sign;
mod simulator;
mod stage;
mod start;
mod state;
mod sts;
mod summary;

pub use admin::ROUTES as ADMIN_ROUTES;
pub use config::{AccessKey, Config, KeyState};
pub use fault::{Answer, Drop, Fault, FaultRule, Stage};
pub use held::{Held, Release};
pub use ledger::{Algorithm, Decision, Delivery, Entry, Met, READ_STATUS, VERIFIED};
pub use numbers::{Migration, Number};
pub use quota::Window;
pub use rules::{FaultId, FaultState};
pub use settings::{
    AccountSettings, AlreadyVerified, Check, NonceScope, Quota, QuotaKind, Refusal, Refusals,
    Replies, Settings, UnknownNumber,
};
pub use simulator::Simulator;
pub use start::Error;
pub use sts::{ASSUME_ROLE, OidcProvider, Role, WHO_AM_I, WITH_OIDC};
pub use summary::{
    ActionSummary, CodeSummary, Counts, Summary, admitted_times, utilisation, worst_second,
};
