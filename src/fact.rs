//! What the operator learned or did, as values: the input of `status::apply`. PURE.

use jiff::Timestamp;

use crate::crd::{SecretVersion, SpentCode};
use crate::reason::{Outcome, Reason, Spent};

/// What CAMS said, scrubbed of every secret; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `Code`, or our own word where CAMS said nothing (`Timeout`, `NotSent`, …).
    pub code: Option<String>,
    /// `Message`, scrubbed and clamped.
    pub message: Option<String>,
    /// `RequestId`.
    pub request_id: Option<String>,
}

/// What holds a whole account back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldCause {
    /// The credentials were refused.
    Credentials,
    /// The clocks differ too much.
    Clock,
    /// The account itself was refused.
    Account,
    /// CAMS cannot be reached.
    Transport,
}

impl HoldCause {
    /// Every cause.
    pub const ALL: [HoldCause; 4] = [
        HoldCause::Credentials,
        HoldCause::Clock,
        HoldCause::Account,
        HoldCause::Transport,
    ];

    /// The word for it, in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldCause::Credentials => "credentials",
            HoldCause::Clock => "clock",
            HoldCause::Account => "account",
            HoldCause::Transport => "transport",
        }
    }
}

/// Why a resource waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedFor {
    /// Its turn.
    Turn,
    /// The end of a hold.
    Hold(HoldCause),
    /// The end of an attempt for the same number by a resource that was deleted or restored.
    OtherAttempt,
}

/// Why the code cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCode {
    /// The Secret does not exist.
    SecretNotFound,
    /// The key does not exist.
    KeyNotFound,
    /// The value is not a code.
    NotDigits,
    /// The expiry is not a time.
    ExpiryNotATime,
    /// The expiry has passed.
    Expired,
}

/// A claim: everything status says of an attempt before its request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Number of the attempt.
    pub number: i32,
    /// Identity, and nonce.
    pub id: String,
    /// Timestamp in the signature.
    pub signed_at: Timestamp,
    /// Version of the Secret the code came from.
    pub secret: SecretVersion,
    /// Keyed fingerprint of the code.
    pub code_fingerprint: String,
}

/// Why an attempt was released unspent, or could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// The server's quota.
    Throttled,
    /// The request never left.
    NotSent,
    /// The credentials.
    Credentials,
    /// The account.
    Account,
    /// The clocks.
    Clock,
}

impl Setback {
    /// The state that shows it.
    pub fn reason(self) -> Reason {
        match self {
            Setback::Throttled => Reason::Throttled,
            Setback::NotSent => Reason::Queued,
            Setback::Credentials => Reason::CredentialsInvalid,
            Setback::Account => Reason::AccountError,
            Setback::Clock => Reason::ClockSkew,
        }
    }

    /// The outcome that a released attempt carries.
    pub fn outcome(self) -> Outcome {
        match self {
            Setback::Throttled => Outcome::Throttled,
            Setback::NotSent => Outcome::NotSent,
            Setback::Credentials | Setback::Account | Setback::Clock => Outcome::Blocked,
        }
    }
}

/// How the number was found to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// Our call was accepted.
    Call,
    /// A read before the first attempt; no code was spent.
    ReadBefore,
    /// A read after an attempt; the verification may be an earlier one.
    ReadAfter,
}

/// One thing that status is to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// This look changed nothing but is to be acknowledged (generation, requestedAt, retryToken).
    Seen,
    /// Waiting for a code that can be used.
    NoCode(NoCode),
    /// Waiting in the queue.
    Queued(QueuedFor),
    /// Another resource owns the number; its name only if it is in the same namespace.
    Duplicate { owner: Option<String> },
    /// spec.suspend is set.
    Suspended,
    /// The attempt that is about to be sent.
    Claimed(Claim),
    /// The attempt was certainly not executed.
    Released {
        setback: Setback,
        told: Told,
        next: Option<Timestamp>,
    },
    /// The account cannot be used; nothing was claimed.
    HeldBack {
        setback: Setback,
        told: Told,
        next: Option<Timestamp>,
    },
    /// The number is verified.
    Verified {
        by: VerifiedBy,
        id: Option<String>,
        phone_number: Option<String>,
        request_id: Option<String>,
    },
    /// CAMS refused; `outcome` says whether the code or the request.
    Refused { outcome: Outcome, told: Told },
    /// The request may have been executed. `until`: when its signature has surely expired.
    Unknown { told: Told, until: Timestamp },
    /// The signature expired and a read says that the number is not verified.
    UnknownFinal,
    /// The signature expired and no read succeeded.
    UnknownOverdue { read_error: String },
    /// Back to what the last spent code led to; `ambiguous`: a code is there of which it
    /// cannot be told whether it was spent.
    Concluded { ambiguous: bool },
    /// A different code is there, but no more may be spent.
    Exhausted,
    /// A person raised the limit.
    LimitRaised,
    /// The code was spent by a resource that is gone, or before status was lost.
    TookOver(SpentCode),
    /// The fingerprint of the last code, under the key of today.
    Refingerprinted(String),
}

impl Fact {
    /// The outcome that this fact gives the current attempt, if it speaks of one.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Fact::Released { setback, .. } => Some(setback.outcome()),
            Fact::Verified { by, .. } => Some(match by {
                VerifiedBy::Call => Outcome::Accepted,
                VerifiedBy::ReadBefore | VerifiedBy::ReadAfter => Outcome::Adopted,
            }),
            Fact::Refused { outcome, .. } => Some(*outcome),
            Fact::Unknown { .. } | Fact::UnknownOverdue { .. } => Some(Outcome::Unknown),
            Fact::UnknownFinal => Some(Outcome::UnknownFinal),
            Fact::Seen
            | Fact::NoCode(_)
            | Fact::Queued(_)
            | Fact::Duplicate { .. }
            | Fact::Suspended
            | Fact::Claimed(_)
            | Fact::HeldBack { .. }
            | Fact::Concluded { .. }
            | Fact::Exhausted
            | Fact::LimitRaised
            | Fact::TookOver(_)
            | Fact::Refingerprinted(_) => None,
        }
    }

    /// Whether this fact may be said of an attempt that ended as `known` (`None`: it is open).
    /// That the number is verified may always be said; it does not undo a definite outcome.
    pub fn may_follow(&self, known: Option<Outcome>) -> bool {
        let is_open = known.is_none_or(|known| known.spent() == Spent::Open);
        match self {
            Fact::Seen | Fact::Verified { .. } => true,
            Fact::Released { .. }
            | Fact::Refused { .. }
            | Fact::Unknown { .. }
            | Fact::UnknownOverdue { .. }
            | Fact::UnknownFinal => self.outcome().is_some_and(|new| new.may_replace(known)),
            // Danger: a claim over an open attempt would forget a request that may be executed.
            Fact::NoCode(_)
            | Fact::Queued(_)
            | Fact::Duplicate { .. }
            | Fact::Suspended
            | Fact::Claimed(_)
            | Fact::HeldBack { .. }
            | Fact::Concluded { .. }
            | Fact::Exhausted
            | Fact::LimitRaised
            | Fact::TookOver(_)
            | Fact::Refingerprinted(_) => !is_open,
        }
    }

    /// Whether writing this fact handles spec.retryToken. Those that only wait for their turn,
    /// for the account or for unsuspending leave it: what it allows has not happened yet.
    pub fn handles_retry_token(&self) -> bool {
        match self {
            Fact::Seen | Fact::Queued(_) | Fact::HeldBack { .. } | Fact::Suspended => false,
            Fact::NoCode(_)
            | Fact::Duplicate { .. }
            | Fact::Claimed(_)
            | Fact::Released { .. }
            | Fact::Verified { .. }
            | Fact::Refused { .. }
            | Fact::Unknown { .. }
            | Fact::UnknownFinal
            | Fact::UnknownOverdue { .. }
            | Fact::Concluded { .. }
            | Fact::Exhausted
            | Fact::LimitRaised
            | Fact::TookOver(_)
            | Fact::Refingerprinted(_) => true,
        }
    }
}
