//! The fixed words of status: reasons of the Ready condition and outcomes of an attempt. They are
//! API: never renamed. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of kstatus, and with it of Flux, Argo CD and Helm, for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kstatus {
    /// Done and good.
    Current,
    /// The operator will act by itself.
    InProgress,
    /// Nothing happens until a person acts.
    Failed,
    /// Paused on purpose: InProgress for kstatus, but neither Reconciling nor Stalled.
    Paused,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Reason of the Ready condition: the state of a PhoneMigration.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            /// Every reason, for tables and metrics.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];

            /// The word as it stands in status.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),+ }
            }

            /// The reason named by a word; `None` for an unknown word.
            pub fn parse(word: &str) -> Option<Reason> {
                match word { $(stringify!($name) => Some(Reason::$name),)+ _ => None }
            }
        }
    };
}

reasons! {
    /// The Secret does not exist yet.
    SecretNotFound,
    /// The operator may not read Secrets in the namespace.
    SecretForbidden,
    /// The Secret lacks the key, or its value is empty.
    KeyNotFound,
    /// The value is not a code, or its expiry is not a time. Nothing was sent.
    InvalidCode,
    /// The code expired before it was sent.
    CodeExpired,
    /// Waits for its turn in the account's quota.
    Queued,
    /// The number is verified.
    Verified,
    /// CAMS refused the code.
    CodeRejected,
    /// CAMS refused the request's own parameters or ownership.
    RequestRejected,
    /// The limit of spent codes is reached.
    AttemptsExhausted,
    /// CAMS refused the credentials.
    CredentialsInvalid,
    /// CAMS refused the account.
    AccountError,
    /// The clocks differ too much for a signature.
    ClockSkew,
    /// CAMS throttled the account.
    Throttled,
    /// The request may have been executed; its reply is lost.
    OutcomeUnknown,
    /// The number's CodeLedger cannot be used.
    LedgerUnreadable,
    /// The operator cannot tell whether the code was spent before.
    CodeUnknown,
    /// The code of another PhoneMigration verified the number.
    DuplicatePhoneNumber,
    /// spec.suspend is true.
    Suspended,
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Outcome {
    /// CAMS accepted the code.
    Accepted,
    /// The attempt was open, and a status read found the number verified.
    Adopted,
    /// CAMS refused the code.
    Refused,
    /// CAMS refused the request's own parameters or ownership.
    RequestRefused,
    /// Released: CAMS throttled the request and did not execute it.
    Throttled,
    /// Released: the request never left.
    NotSent,
    /// Released: CAMS refused the credentials, the account or the time of signing.
    Blocked,
    /// No status read found the number verified after the signature had expired.
    UnknownFinal,
    /// Provisional: the request may have been executed, and its signature may still be good.
    /// Any word that this version does not know is read as this one, the careful one.
    #[serde(other)]
    Unknown,
}

/// The use of a code, according to an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeUse {
    /// The attempt is still open: the operator must send nothing.
    Open,
    /// The request was certainly not executed: the attempt does not count.
    Released,
    /// The code was, or may have been, used.
    Spent,
    /// The number is verified.
    Verified,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 9] = [
        Outcome::Accepted,
        Outcome::Adopted,
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::Throttled,
        Outcome::NotSent,
        Outcome::Blocked,
        Outcome::UnknownFinal,
        Outcome::Unknown,
    ];

    /// The word as it stands in status and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "Accepted",
            Outcome::Adopted => "Adopted",
            Outcome::Refused => "Refused",
            Outcome::RequestRefused => "RequestRefused",
            Outcome::Throttled => "Throttled",
            Outcome::NotSent => "NotSent",
            Outcome::Blocked => "Blocked",
            Outcome::UnknownFinal => "UnknownFinal",
            Outcome::Unknown => "Unknown",
        }
    }

    /// The outcome named by a word; `None` for an unknown word.
    pub fn parse(word: &str) -> Option<Outcome> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }

    /// The use of the code, according to this outcome.
    pub fn code_use(self) -> CodeUse {
        match self {
            Outcome::Accepted | Outcome::Adopted => CodeUse::Verified,
            Outcome::Refused | Outcome::RequestRefused | Outcome::UnknownFinal => CodeUse::Spent,
            Outcome::Throttled | Outcome::NotSent | Outcome::Blocked => CodeUse::Released,
            Outcome::Unknown => CodeUse::Open,
        }
    }
}

impl Outcome {
    /// Whether `self` may replace `known`, the outcome of the same attempt so far (`None`: none
    /// yet). A late outcome replaces an open or unknown one; of the definite ones only a refusal,
    /// by `Adopted`. Only an open attempt can be released. Danger: a release of a final unknown
    /// would let the operator send its code again.
    pub fn may_replace(self, known: Option<Outcome>) -> bool {
        match known {
            None | Some(Outcome::Unknown) => true,
            Some(Outcome::UnknownFinal) => match self {
                Outcome::Accepted
                | Outcome::Adopted
                | Outcome::Refused
                | Outcome::RequestRefused => true,
                Outcome::Throttled
                | Outcome::NotSent
                | Outcome::Blocked
                | Outcome::UnknownFinal
                | Outcome::Unknown => false,
            },
            // A refusal may hide that the number was verified before.
            Some(Outcome::Refused | Outcome::RequestRefused) => self == Outcome::Adopted,
            Some(
                Outcome::Throttled
                | Outcome::NotSent
                | Outcome::Blocked
                | Outcome::Accepted
                | Outcome::Adopted,
            ) => false,
        }
    }
}

impl Reason {
    /// True for the states that a suspension does not change: nothing more happens in them until a
    /// user acts.
    pub fn is_finished_unverified(self) -> bool {
        match self {
            Reason::CodeRejected
            | Reason::RequestRejected
            | Reason::AttemptsExhausted
            | Reason::OutcomeUnknown => true,
            Reason::SecretNotFound
            | Reason::SecretForbidden
            | Reason::KeyNotFound
            | Reason::InvalidCode
            | Reason::CodeExpired
            | Reason::Queued
            | Reason::Verified
            | Reason::CredentialsInvalid
            | Reason::AccountError
            | Reason::ClockSkew
            | Reason::Throttled
            | Reason::LedgerUnreadable
            | Reason::CodeUnknown
            | Reason::DuplicatePhoneNumber
            | Reason::Suspended => false,
        }
    }
}
