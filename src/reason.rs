//! The closed sets that status speaks in: reasons of the Ready condition and outcomes of an
//! attempt. They are API: never renamed. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kstatus, and with it Flux, Argo CD and Helm, makes of a state.
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

            /// The reason named by a word; `None` for a word that is not ours.
            pub fn parse(word: &str) -> Option<Reason> {
                match word { $(stringify!($name) => Some(Reason::$name),)+ _ => None }
            }
        }
    };
}

reasons! {
    /// The Secret does not exist yet.
    SecretNotFound,
    /// The Secret lacks the key.
    KeyNotFound,
    /// The value is not a code, or its expiry is not a time. Nothing was sent.
    InvalidCode,
    /// The code expired before it was sent.
    CodeExpired,
    /// Waits for its turn in the account's quota.
    Queued,
    /// An attempt is open.
    Verifying,
    /// Done.
    Verified,
    /// CAMS refused the code.
    CodeRejected,
    /// CAMS refused the request's own parameters or ownership.
    RequestRejected,
    /// As many codes as allowed were spent.
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
    /// Another PhoneMigration owns the number.
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

/// What an outcome says about the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The attempt is still open: nothing may be sent.
    Open,
    /// The request was certainly not executed: the attempt counts as none.
    Released,
    /// The code was, or may have been, used.
    Spent,
    /// The number is verified.
    Verified,
}

impl Outcome {
    /// What this outcome says about the code.
    pub fn spent(self) -> Spent {
        match self {
            Outcome::Accepted | Outcome::Adopted => Spent::Verified,
            Outcome::Refused | Outcome::RequestRefused | Outcome::UnknownFinal => Spent::Spent,
            Outcome::Throttled | Outcome::NotSent | Outcome::Blocked => Spent::Released,
            Outcome::Unknown => Spent::Open,
        }
    }
}

impl Outcome {
    /// Whether an attempt that ended as `known` (`None`: not yet) may be said to have ended as
    /// `self`. Late outcomes replace an open or unknown one, never a definite one; a release is
    /// only for what is open. A release that stands there while the attempt's own task still
    /// runs is somebody else's writing, and what CAMS answered outweighs it.
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
            Some(Outcome::Throttled | Outcome::NotSent | Outcome::Blocked) => match self {
                Outcome::Accepted | Outcome::Refused | Outcome::RequestRefused => true,
                Outcome::Adopted
                | Outcome::Throttled
                | Outcome::NotSent
                | Outcome::Blocked
                | Outcome::UnknownFinal
                | Outcome::Unknown => false,
            },
            Some(
                Outcome::Accepted | Outcome::Adopted | Outcome::Refused | Outcome::RequestRefused,
            ) => false,
        }
    }
}
