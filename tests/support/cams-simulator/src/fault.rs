//! Faults: the stage of a request and the failure. PURE.
//!
//! A request passes four stages. The gateway checks a rule, and uses it up, only when a matching
//! request reaches the rule's stage: a throttled call does not consume a rule that loses the reply
//! of an execution.

use serde::{Deserialize, Serialize};

use crate::settings::Refusal;

/// A place in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Read, nothing checked or counted.
    Received,
    /// All checks passed and the call was counted; processing time is over; not executed.
    Counted,
    /// Executed, accepted or refused; no byte of the reply is out.
    Executed,
    /// Head and half of the body are out. Only for calls that passed the checks.
    HalfReplied,
}

/// How a request, and its connection, are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Drop {
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// Silence on an open connection until the client leaves.
    Blackhole,
}

/// The failure. In JSON `kind` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Fault {
    /// Wait.
    Delay {
        /// Any stage.
        at: Stage,
        /// Milliseconds.
        ms: u64,
    },
    /// Hold the request until it is released.
    Gate {
        /// Any stage.
        at: Stage,
    },
    /// Lose the request. At `Received` and `Counted` it is not executed.
    Drop {
        /// Any stage.
        at: Stage,
        /// How.
        how: Drop,
    },
    /// Answer with something else. At `Received` and `Counted` the call is not executed.
    Answer {
        /// `Received`, `Counted` or `Executed`.
        at: Stage,
        /// The answer.
        answer: Answer,
    },
    /// `Data.PhoneNumber` is another number.
    OtherPhone {
        /// That number.
        phone: String,
    },
    /// `Data.PhoneNumber` ends in `****`.
    MaskPhone,
    /// No `Data.Id`.
    OmitId,
    /// No `Data`.
    OmitData,
    /// Another `Message`, such as one with NUL, terminal escapes or newlines.
    Message {
        /// The text.
        text: String,
    },
    /// A phase, from the time the rule was added, in which the gateway throttles every matching
    /// call in place of the quota check.
    Throttle {
        /// Length of the phase, milliseconds.
        ms: u64,
        /// The answer.
        refusal: Refusal,
    },
    /// The status read shows this verification only later.
    ReadLag {
        /// Milliseconds after the execution.
        ms: u64,
    },
    /// Another clock for this request: timestamp check and `Date` header.
    ClockOffset {
        /// Milliseconds, added to the gateway's own offset.
        ms: i64,
    },
}

/// An answer that takes the place of the real one. In JSON `is` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "is",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Answer {
    /// A page, as a proxy in between would send it.
    Html {
        /// HTTP status, such as 200 or 502.
        status: u16,
    },
    /// No body at all.
    Empty {
        /// HTTP status.
        status: u16,
    },
    /// HTTP 200 and the first half of a JSON text, with a Content-Length that fits it.
    TruncatedJson,
    /// HTTP 200 and `{}`.
    EmptyObject,
    /// An answer in the API's shape.
    Api {
        /// Status, Code, Message, x-acs-retry-after.
        refusal: Refusal,
    },
    /// HTTP 307.
    Redirect {
        /// `Location`.
        url: String,
    },
    /// HTTP 200 in the API's shape with an endless Message.
    Huge {
        /// Length of the body.
        bytes: u64,
    },
    /// Anything.
    Raw {
        /// HTTP status.
        status: u16,
        /// `Content-Type`.
        content_type: String,
        /// Body.
        body: String,
    },
}

impl Fault {
    /// Loses the request with a FIN.
    pub fn close(at: Stage) -> Self {
        Self::Drop {
            at,
            how: Drop::Close,
        }
    }

    /// Loses the request with a RST.
    pub fn reset(at: Stage) -> Self {
        Self::Drop {
            at,
            how: Drop::Reset,
        }
    }

    /// Never answers.
    pub fn blackhole(at: Stage) -> Self {
        Self::Drop {
            at,
            how: Drop::Blackhole,
        }
    }

    /// Executes, sends the head and half of the body, and closes.
    pub fn half_reply() -> Self {
        Self::close(Stage::HalfReplied)
    }

    /// Holds the request.
    pub fn gate(at: Stage) -> Self {
        Self::Gate { at }
    }

    /// Waits.
    pub fn delay(at: Stage, ms: u64) -> Self {
        Self::Delay { at, ms }
    }

    /// Answers with something else.
    pub fn answer(at: Stage, answer: Answer) -> Self {
        Self::Answer { at, answer }
    }

    /// Answers in the API's shape.
    pub fn api(at: Stage, refusal: Refusal) -> Self {
        Self::answer(at, Answer::Api { refusal })
    }

    /// HTTP 500 `InternalError`.
    pub fn internal_error(at: Stage) -> Self {
        let text = "The request processing has failed due to some unknown error.";
        Self::api(at, Refusal::new(500, "InternalError", text))
    }

    /// HTTP 503 `ServiceUnavailable`.
    pub fn service_unavailable(at: Stage) -> Self {
        let text = "The request has failed due to a temporary failure of the server.";
        Self::api(at, Refusal::new(503, "ServiceUnavailable", text))
    }

    /// HTTP 400 `SignatureNonceUsed`.
    pub fn nonce_used(at: Stage) -> Self {
        Self::api(at, crate::checks::nonce_used())
    }

    /// The stage at which the fault shows.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Delay { at, .. }
            | Self::Gate { at }
            | Self::Drop { at, .. }
            | Self::Answer { at, .. } => *at,
            Self::Throttle { .. } | Self::ClockOffset { .. } => Stage::Received,
            Self::ReadLag { .. } => Stage::Counted,
            Self::OtherPhone { .. }
            | Self::MaskPhone
            | Self::OmitId
            | Self::OmitData
            | Self::Message { .. } => Stage::Executed,
        }
    }
}

/// A fault and the requests that meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// The failure.
    pub fault: Fault,
    /// Only this action.
    #[serde(default)]
    pub action: Option<String>,
    /// Only this number.
    #[serde(default)]
    pub phone: Option<String>,
    /// Stop after this many.
    #[serde(default)]
    pub times: Option<u64>,
    /// Meet a matching request with this probability, 0.0 to 1.0.
    #[serde(default)]
    pub probability: Option<f64>,
    /// Seed of the probability.
    #[serde(default)]
    pub seed: u64,
}

impl FaultRule {
    /// Applies to every request, without an end.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            action: None,
            phone: None,
            times: None,
            probability: None,
            seed: 0,
        }
    }

    /// Only this action.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Only this number.
    pub fn phone(mut self, phone: impl Into<String>) -> Self {
        self.phone = Some(phone.into());
        self
    }

    /// Stop after this many.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// One request only.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// With a probability.
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = seed;
        self
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}
