//! The account's quota: who may prepare (turns), who may send (slots), and when nobody may
//! (pauses after throttles, holds).
//!
//! - [`queue`]: fair order of those that wait (PURE);
//! - [`pacer`]: at most N requests in any second, seen by the server (PURE);
//! - [`hold`]: one cause that would hit every resource (PURE);
//! - [`dispatcher`]: the task that grants, for one account.
//!
//! Reconcile never sleeps for a turn: it asks, returns, and is triggered when the turn comes.
//! Ten thousand waiting resources cost memory only.

use std::time::Duration;

pub mod dispatcher;
pub mod hold;
pub mod pacer;
pub mod queue;

pub use dispatcher::{Quota, Slot, Turn};
pub use hold::Cause;
pub use queue::Ticket;

/// The API actions that are paced; the quota counts each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// ChatappMigrationVerified.
    Verify,
    /// GetPhoneNumberVerificationStatus.
    ReadStatus,
}

/// Settings of one account.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Requests per second and action; 0: unlimited.
    pub qps: u32,
}

/// A resource, for its wake-up call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKey {
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
}

/// Who goes first among those that wait for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The read before a refusal is recorded: an outcome waits for it.
    BeforeRecord,
    /// The read that finds out whether a hold may end.
    Probe,
    /// A submission, and the read before it.
    Look,
    /// Reads of outcomes that are not known.
    Observe,
}

/// What a turn permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnKind {
    /// An attempt.
    Normal,
    /// A status read first; an attempt only if it ends the hold.
    ProbeRead,
    /// An attempt, the only one, to find out whether the account works again.
    ProbeAttempt,
}

/// What holds the account, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// The cause.
    pub cause: Cause,
    /// When it is probed next.
    pub next_probe: crate::clock::BootTime,
}

/// Why an account is blocked, as a reply says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCause {
    /// Key, secret, token or signature.
    Credentials,
    /// Subscription or permission.
    Account,
    /// The clocks.
    Clock,
}

/// What came of a request, as far as the quota is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An answer in the API's own shape that is none of the below.
    Answered,
    /// Throttled; the server may say for how long.
    Throttled {
        /// x-acs-retry-after.
        retry_after: Option<Duration>,
    },
    /// The account was refused.
    Blocked(BlockCause),
    /// DNS, connect or TLS failed.
    NotSent,
    /// No answer that says anything.
    Unknown,
}

/// No slot came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no send slot in time")]
pub struct NoSlot;

/// Figures for metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Resources in the queue.
    pub waiting: usize,
    /// Turns that are granted or in use.
    pub turns: usize,
    /// Paused after a throttle.
    pub paused: bool,
    /// What holds the account.
    pub hold: Option<Cause>,
    /// Submissions per second at most, now.
    pub rate: f64,
}
