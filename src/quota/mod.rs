//! The quota of one account: who may prepare an attempt, when a call may leave, and
//! when the account must hold still.
//!
//! Alibaba Cloud counts calls per account and API action, over a window whose shape it
//! does not document; a call too many is answered with a throttle and costs a claim.
//! So everything that wants to call asks here first, in two steps:
//!
//! 1. **A turn** permits a resource to *prepare* (look, sign, claim). The resource
//!    enqueues a [`Ticket`], returns, and is woken when its turn has been granted.
//! 2. **A slot** permits *one call to leave now*. It is taken when the connection
//!    stands, right before the request is handed to it.
//!
//! | Module | Holds |
//! |---|---|
//! | [`queue`] | fair order of the waiting resources. PURE |
//! | [`pacer`] | when the next call of one action may leave. PURE |
//! | [`hold`] | causes that stop the whole account, and their probes. PURE |
//! | [`account`] | the three together: turns, slots, reports. PURE |
//! | [`estimate`] | how long a wait may last, for people. PURE |
//! | [`dispatcher`] | the one task per account that drives them, and its handle |
//!
//! PURE modules read no clock, start no task and know no network or cluster: time is
//! passed in. Nothing here knows a code, a key or a phone number.
//!
//! Limits: ten thousand waiting tickets cost memory only; a step of the dispatcher
//! costs O(log n) in the tickets and the waiting slots and O(n) in the *outstanding*
//! turns, of which there are at most three seconds' worth. State lives as long as the
//! process; what must survive it is in the resources' status.

pub mod account;
pub mod dispatcher;
pub mod estimate;
pub mod hold;
pub mod pacer;
pub mod queue;

mod recent;

use std::time::Duration;

pub use dispatcher::{Quota, Slot, Turn};
pub use estimate::Estimate;
pub use hold::{Cause, HoldView};

/// The API actions that the server counts, each with a quota of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The submission of a code: spends it.
    Verify,
    /// The status read: spends nothing.
    ReadStatus,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Calls per second of each action, as the server counts them; 0 means unlimited:
    /// no pacing, only the pauses that the server asks for.
    pub qps: u32,
}

/// Names the resource to wake.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
}

/// A resource that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Identity; one ticket per uid.
    pub uid: String,
    /// Namespace: the unit of fairness.
    pub namespace: String,
    /// Name, to wake the resource.
    pub name: String,
    /// When the code dies; `None` sorts last.
    pub expires_at: Option<jiff::Timestamp>,
    /// Creation of the resource: the older goes first among equals.
    pub created_at: jiff::Timestamp,
}

impl Ticket {
    /// The key to wake this ticket's resource by.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// Order among those who wait for a slot of one action: the first variant goes first,
/// first come first served inside a variant. Every tenth slot goes to whoever has
/// waited longest, so that no variant starves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The read before a refusal is recorded.
    BeforeRecord,
    /// The call that probes a hold.
    Probe,
    /// An attempt's own calls: the look of step 2, and the submission.
    Look,
    /// Reads that observe an attempt whose outcome is open.
    Observe,
}

/// What became of a call. Reported once per call, after [`Slot::replied`] (or the drop
/// of the slot) and by whoever classified the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An answer in the API's own shape that is none of the below, and no 5xx:
    /// accepted, refused, or a status that was read.
    Answered,
    /// The server's quota.
    Throttled {
        /// How long the server asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// Answered, not executed, and the account is at fault rather than the resource.
    Blocked(BlockCause),
    /// DNS, connect or TLS: no byte of the request left. Not for slots or gates that
    /// said no: those are not reported.
    NotSent,
    /// Anything else: timeout, broken reply, foreign body, 5xx.
    Unknown,
}

/// Why the API refuses the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCause {
    /// Key, signature or token.
    Credentials,
    /// The product is not subscribed, the right is missing, risk control.
    Account,
    /// Our clock and the server's disagree.
    Clock,
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnKind {
    /// An ordinary attempt.
    Normal,
    /// First a status read, whatever the resource says about adoption. If the hold has
    /// ended after it, [`Turn::is_valid`] says so and the turn goes on as `Normal`.
    ProbeRead,
    /// One real attempt, while all others wait for its outcome.
    ProbeAttempt,
}

/// Why no slot was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// None came within the time that the caller could wait.
    #[error("no send slot came free in time")]
    Late,
    /// The dispatcher has ended: the process is going down.
    #[error("the quota dispatcher has stopped")]
    Stopped,
}

/// Figures for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Turns are granted: the process leads and is not shutting down.
    pub active: bool,
    /// Tickets that wait for a turn.
    pub queued: usize,
    /// Turns granted and not yet taken.
    pub granted: usize,
    /// Turns granted or taken, and not yet used.
    pub outstanding: usize,
    /// When the first code among the tickets expires.
    pub next_expiry: Option<jiff::Timestamp>,
    /// The submissions.
    pub verify: LaneStats,
    /// The status reads.
    pub read_status: LaneStats,
    /// End of the pause after a throttle, if one is running.
    pub paused_until: Option<crate::clock::BootTime>,
    /// The hold, if the account is held.
    pub hold: Option<HoldView>,
}

/// Figures of one action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneStats {
    /// Calls per second that are aimed at now; `None` is unlimited.
    pub rate: Option<f64>,
    /// The allowance for late arrival, J.
    pub allowance: Duration,
    /// Who waits for a slot.
    pub waiting: usize,
    /// One call at a time until one is answered.
    pub probing: bool,
}
