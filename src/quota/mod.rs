//! The quota of one account: which resource may prepare an attempt, when a call may leave, and when
//! the account must stop.
//!
//! Alibaba Cloud counts calls per account and API action, over a window whose shape is not
//! documented. It answers a call above the quota with a throttle, which costs a claim. So every
//! caller asks here first, in two steps:
//!
//! 1. **A turn** permits a resource to *prepare* (pre-read, sign, claim). The reconciler enqueues a
//!    [`QueueEntry`] and returns; the dispatcher wakes the resource when it has granted the turn.
//! 2. **A slot** permits *one call to leave now*. The client takes it when the connection is
//!    established, right before it hands over the request.
//!
//! | Module | Holds |
//! |---|---|
//! | [`queue`] | fair order of the waiting resources. PURE |
//! | [`pacer`] | when the next call of one action may leave. PURE |
//! | [`hold`] | circuit breaker: causes that stop the whole account, and their probes. PURE |
//! | [`brake`] | one submission at a time after equal refusals of several numbers. PURE |
//! | [`account`] | the four together: turns, slots, reports. PURE |
//! | [`estimate`] | upper bound of a wait, shown to users. PURE |
//! | [`dispatcher`] | the one task per account that drives them, and its handle |
//!
//! PURE modules read no clock, start no task and know no network or cluster: the caller passes the
//! time in. No module here knows a code, a key or a phone number.
//!
//! Limits: ten thousand queue entries cost memory only. A step of the dispatcher costs O(log n) in
//! the queue entries and the slot waiters, and O(n) in the *outstanding* turns, which are at most
//! three seconds' worth. State lives as long as the process; state that must survive it is in the
//! resources' status.

pub mod account;
pub mod brake;
pub mod dispatcher;
pub mod estimate;
pub mod hold;
pub mod pacer;
pub mod queue;

mod recent;

use std::time::Duration;

use crate::api::object_key::ObjectKey;

pub use crate::cams::{Action, BlockCause};
pub use brake::BrakeChange;
pub use dispatcher::{Quota, Slot, Turn};
pub use estimate::Estimate;
pub use hold::{Cause, HoldView};

/// Quota of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Calls per second of each action, as the server counts them. 0 means unlimited: no pacing,
    /// only the pauses that the server asks for.
    pub qps: u32,
}

/// Resources of one tenant for one space. Their codes probably share one fate: it is the smallest
/// unit that one wrong setting affects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Namespace of the resources.
    pub namespace: String,
    /// Their `spec.custSpaceId`.
    pub cust_space_id: String,
}

/// A queue entry: a resource that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// UID of the resource; one queue entry per uid.
    pub uid: String,
    /// Namespace of the resource: the unit of fairness.
    pub namespace: String,
    /// `spec.custSpaceId`.
    pub cust_space_id: String,
    /// Name of the number's CodeLedger; identifies the number.
    pub ledger: String,
    /// Name of the resource, to wake it.
    pub name: String,
    /// When the code expires; `None` sorts last.
    pub expires_at: Option<jiff::Timestamp>,
    /// Creation time of the resource: the older goes first among equals.
    pub created_at: jiff::Timestamp,
}

impl QueueEntry {
    /// The key to wake this entry's resource.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The pair of this entry's resource.
    pub fn pair(&self) -> Pair {
        Pair {
            namespace: self.namespace.clone(),
            cust_space_id: self.cust_space_id.clone(),
        }
    }
}

/// Order of the waiters for a slot of one action: the first variant goes first, and inside a
/// variant the first waiter. Every tenth slot goes to the oldest waiter, so that no variant
/// starves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The status read before a refusal is recorded.
    BeforeRecord,
    /// The call that probes a hold.
    Probe,
    /// An attempt's own calls: the status read of step 2, and the submission.
    Attempt,
    /// Status reads that observe an attempt whose outcome is open.
    Observe,
}

/// Result of a call. The caller that classified the answer reports it once per call, after
/// [`Slot::replied`], [`Slot::replied_throttled`] or the drop of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An answer in the API's own shape, without 5xx, that is none of the variants below: accepted,
    /// refused, or a status. The brake distinguishes accepted from refused.
    Answered,
    /// The server's quota rejected the call.
    Throttled {
        /// How long the server asks the client to wait.
        retry_after: Option<Duration>,
    },
    /// Answered but not executed, and the account is at fault rather than the resource.
    Blocked(BlockCause),
    /// DNS, connect or TLS failed: no byte of the request left. Do not report a call that a slot or
    /// a gate refused.
    NotSent,
    /// Anything else: timeout, broken reply, foreign body, 5xx.
    Unknown,
}

/// Purpose of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnKind {
    /// An ordinary attempt.
    Normal,
    /// First a status read, whatever the resource says about adoption. If the read ends the hold,
    /// [`Turn::is_valid`] stays true and the turn continues as `Normal`.
    ProbeRead,
    /// One real attempt; all other resources wait for its outcome.
    ProbeAttempt,
}

/// Why the caller got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// No slot came within the time that the caller could wait.
    #[error("no send slot came free in time")]
    Late,
    /// The dispatcher has ended: the process is shutting down.
    #[error("the quota dispatcher has stopped")]
    Stopped,
}

/// State of the account, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// True if the account grants turns: the process is the leader and is not shutting down.
    pub active: bool,
    /// Resources that wait for a turn.
    pub queued: usize,
    /// Turns granted and not yet taken.
    pub granted: usize,
    /// Turns granted or taken, and not yet used.
    pub outstanding: usize,
    /// When the first code in the queue expires.
    pub next_expiry: Option<jiff::Timestamp>,
    /// Limiter of submissions.
    pub verify: LimiterStats,
    /// Limiter of status reads.
    pub read_status: LimiterStats,
    /// End of the pause after a throttle, if one is running.
    pub paused_until: Option<crate::clock::BootTime>,
    /// The hold, or else the open brake.
    pub hold: Option<HoldView>,
    /// Number of braked pairs.
    pub braked_pairs: usize,
}

/// State of the limiter of one action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimiterStats {
    /// Target rate in calls per second; `None` is unlimited.
    pub rate: Option<f64>,
    /// Number of waiters for a slot.
    pub waiting: usize,
}
