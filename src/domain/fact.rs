//! Facts that the operator learned, as values: the input of `status::apply`. PURE.

use jiff::Timestamp;

use crate::api::reason::{Outcome, Reason};
use crate::api::shown_number::ShownNumber;
use crate::domain::code::CodeDigits;
use crate::domain::ledger::Unusable;

/// Details of a reply from CAMS, scrubbed of every secret; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyDetails {
    /// `Code`, or the operator's own word if CAMS gave none (`Timeout`, `NotSent`, …).
    pub code: Option<String>,
    /// `Message`, scrubbed and clamped.
    pub message: Option<String>,
    /// `RequestId`.
    pub request_id: Option<String>,
}

/// Cause of a hold of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldCause {
    /// The operator has no credentials that CAMS accepts.
    Credentials,
    /// The clocks of the operator and of CAMS differ too much.
    Clock,
    /// CAMS refused the account itself.
    Account,
    /// The operator cannot reach CAMS.
    Transport,
    /// The operator cannot write CodeLedgers.
    Ledger,
    /// CAMS refused the last codes of several numbers with the same `Code`.
    Brake,
}

impl HoldCause {
    /// Every cause.
    pub const ALL: [HoldCause; 6] = [
        HoldCause::Credentials,
        HoldCause::Clock,
        HoldCause::Account,
        HoldCause::Transport,
        HoldCause::Ledger,
        HoldCause::Brake,
    ];

    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldCause::Credentials => "credentials",
            HoldCause::Clock => "clock",
            HoldCause::Account => "account",
            HoldCause::Transport => "transport",
            HoldCause::Ledger => "ledger",
            HoldCause::Brake => "brake",
        }
    }
}

/// Why a resource waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedFor {
    /// Its turn.
    Turn,
    /// Its turn, with a coarse estimate of the wait, so that the text seldom changes.
    TurnWithin {
        /// The turn comes in less than this many minutes.
        minutes: u32,
        /// Fewer than this many resources come before it.
        before: u32,
    },
    /// The end of a hold.
    Hold(HoldCause),
    /// Its turn within its pair, which sends one code at a time.
    BrakedPair,
    /// The end of another resource's attempt for the same number.
    OpenAttempt {
        /// Time of the read that decides how the attempt ended.
        until: Timestamp,
    },
}

/// Why the code cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCode {
    /// The Secret does not exist.
    SecretNotFound,
    /// The operator may not read Secrets in the namespace.
    SecretForbidden,
    /// The key does not exist, or its value is empty.
    KeyNotFound,
    /// The value is not a code of this many digits.
    NotDigits(CodeDigits),
    /// The expiry is not a time.
    ExpiryNotATime,
    /// The expiry has passed.
    Expired,
}

/// Why an attempt was released unspent, or could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseCause {
    /// CAMS throttled the request.
    Throttled,
    /// The request never left.
    NotSent,
    /// The operator has no credentials that CAMS accepts.
    Credentials,
    /// CAMS refused the account.
    Account,
    /// The clocks differ too much.
    Clock,
}

impl ReleaseCause {
    /// Reason of the state that shows it.
    pub fn reason(self) -> Reason {
        match self {
            ReleaseCause::Throttled => Reason::Throttled,
            ReleaseCause::NotSent => Reason::Queued,
            ReleaseCause::Credentials => Reason::CredentialsInvalid,
            ReleaseCause::Account => Reason::AccountError,
            ReleaseCause::Clock => Reason::ClockSkew,
        }
    }

    /// Outcome of an attempt that was released for it.
    pub fn outcome(self) -> Outcome {
        match self {
            ReleaseCause::Throttled => Outcome::Throttled,
            ReleaseCause::NotSent => Outcome::NotSent,
            ReleaseCause::Credentials | ReleaseCause::Account | ReleaseCause::Clock => {
                Outcome::Blocked
            }
        }
    }
}

/// How the operator learned that the number is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// CAMS accepted the operator's call.
    Call,
    /// A read before the first attempt; no code was spent.
    ReadBefore,
    /// A read after an attempt; the verification may be an earlier one.
    ReadAfter,
}

/// Which resource spent the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpentBy {
    /// This one.
    Us,
    /// Another PhoneMigration of the number, which submitted it at this time.
    Other(Timestamp),
}

/// Why no further code may be spent on a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// This namespace has spent as many codes as it may: a user must allow more.
    Limit {
        /// Codes that this namespace has spent.
        spent: i32,
        /// Codes that it may spend.
        limit: i32,
        /// Codes that other namespaces have spent: they count only against the limit of the number.
        others: i32,
    },
    /// All namespaces together have spent as many codes as the number may ever have.
    Number {
        /// Name of the CodeLedger.
        ledger: String,
    },
}

/// Why the operator cannot tell whether a code was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The ledger has entries of another fingerprint key.
    OtherKey,
    /// The resource was restored without its status, and its number has no ledger.
    Restored,
}

/// How a spent code ended, as its resource shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// The outcome.
    pub outcome: Outcome,
    /// The reply details.
    pub reply: ReplyDetails,
    /// Which resource spent it.
    pub by: SpentBy,
    /// The operator cannot tell whether the code that is now in the Secret was spent.
    pub ambiguous: bool,
    /// Set if no further code may be spent.
    pub exhausted: Option<Exhausted>,
}

/// One thing to show in status.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Nothing changed; status acknowledges the reconcile (generation, requestedAt, retryToken).
    Unchanged,
    /// Why the operator submits no code now.
    State(State),
    /// What CAMS said about the number.
    Result(CamsResult),
}

/// Why the operator submits no code now.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Waiting for a code that can be used.
    NoCode(NoCode),
    /// Waiting in the queue.
    Queued(QueuedFor),
    /// The account cannot be used; the operator claimed nothing.
    HeldBack {
        release_cause: ReleaseCause,
        reply: ReplyDetails,
        next: Option<Timestamp>,
    },
    /// The cause of the hold has lasted: a person must act.
    StillHeld,
    /// spec.suspend is set.
    Suspended,
    /// The code of another resource verified the number. `other`: its name, only if it is in the
    /// same namespace.
    Duplicate { other: Option<String> },
    /// The number's CodeLedger cannot be used.
    LedgerUnreadable {
        /// Why.
        why: Unusable,
        /// Name of the CodeLedger.
        ledger: String,
    },
    /// The operator cannot tell whether the code in the Secret was spent; this resource has spent
    /// none.
    CodeUnknown(Because),
    /// The code in the Secret was submitted by another PhoneMigration of the number.
    UsedElsewhere,
    /// A different code is there, but no more may be spent.
    Exhausted(Exhausted),
}

/// What CAMS said about the number, in reply to an attempt or to a status read.
#[derive(Clone, Debug, PartialEq)]
pub enum CamsResult {
    /// The number is verified.
    Verified {
        by: VerifiedBy,
        id: Option<String>,
        phone_number: Option<ShownNumber>,
        request_id: Option<String>,
    },
    /// CAMS certainly did not execute the attempt's request.
    Released {
        release_cause: ReleaseCause,
        reply: ReplyDetails,
        next: Option<Timestamp>,
    },
    /// The request may have been executed. `until`: when its signature has surely expired.
    Unknown {
        reply: ReplyDetails,
        until: Timestamp,
    },
    /// The signature expired and no read succeeded.
    UnknownOverdue { read_error: String },
    /// A spent code, and how it ended.
    Spent(Conclusion),
    /// Status says verified without an Id. No claim of the operator confirms it, and a read says
    /// that the number is not verified.
    Disproved,
}

impl From<State> for Fact {
    fn from(state: State) -> Fact {
        Fact::State(state)
    }
}

impl From<CamsResult> for Fact {
    fn from(result: CamsResult) -> Fact {
        Fact::Result(result)
    }
}

impl Fact {
    /// Whether writing this fact handles spec.retryToken. Facts that only wait (for a turn, for the
    /// account, for the end of a suspension) do not: what the token allows has not happened yet.
    pub fn handles_retry_token(&self) -> bool {
        match self {
            Fact::Unchanged => false,
            Fact::State(state) => state.handles_retry_token(),
            Fact::Result(result) => result.handles_retry_token(),
        }
    }
}

impl State {
    fn handles_retry_token(&self) -> bool {
        match self {
            State::Queued(_)
            | State::HeldBack { .. }
            | State::StillHeld
            | State::Suspended
            | State::LedgerUnreadable { .. }
            | State::NoCode(NoCode::SecretForbidden) => false,
            State::NoCode(_)
            | State::Duplicate { .. }
            | State::CodeUnknown(_)
            | State::UsedElsewhere
            | State::Exhausted(_) => true,
        }
    }
}

impl CamsResult {
    fn handles_retry_token(&self) -> bool {
        match self {
            CamsResult::Released { .. }
            | CamsResult::Unknown { .. }
            | CamsResult::UnknownOverdue { .. }
            | CamsResult::Disproved => false,
            CamsResult::Verified { .. } | CamsResult::Spent(_) => true,
        }
    }
}
