//! Faults: the stage of a request and the failure. PURE.
//!
//! A request passes six stages. The gateway checks a rule, and uses it up, only when a matching
//! request reaches the rule's stage: a throttled call does not consume a rule that loses the reply
//! of an execution.

use serde::{Deserialize, Serialize};

use crate::settings::Refusal;

/// A place in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The connection was accepted, nothing was read. Knows no action or number.
    Accepted,
    /// Read, nothing checked or counted.
    Received,
    /// All checks passed and the call was counted; processing time is over; not executed.
    Counted,
    /// Executed, accepted or refused; no byte of the reply is out.
    Executed,
    /// Head and half of the body are out. Only for calls that passed the checks.
    HalfReplied,
    /// The whole reply is out. Only for calls that passed the checks.
    Replied,
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

/// The failure. In JSON `kind` names the variant. Times (`ms`) are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Fault {
    /// Wait, at any stage but `Accepted`.
    Delay { at: Stage, ms: u64 },
    /// Hold the request, at any stage but `Accepted`, until it is released: `GET /held`,
    /// `POST /held/{id}/release`.
    Gate { at: Stage },
    /// Lose the request, at any stage. At `Accepted` up to `Counted` it is not executed; `Replied`
    /// is a connection that dies idle.
    Drop { at: Stage, how: Drop },
    /// Answer with something else, at `Received` or `Counted` in place of executing, or at
    /// `Executed`.
    Answer { at: Stage, answer: Answer },
    /// The body of the reply comes byte by byte, with a pause after each.
    Slow { ms_per_byte: u64 },
    /// `Data.PhoneNumber` is this number.
    OtherPhone { phone: String },
    /// `Data.PhoneNumber` ends in `****`.
    MaskPhone,
    /// No `Data.Id`.
    OmitId,
    /// No `Data`.
    OmitData,
    /// Another `Message`, such as one with NUL, terminal escapes or newlines.
    Message { text: String },
    /// A phase of this length, from the time the rule was added, in which the gateway throttles
    /// every matching call in place of the quota check.
    Throttle { ms: u64, refusal: Refusal },
    /// The status read shows this verification only so long after its execution.
    ReadLag { ms: u64 },
    /// Another clock for this request, added to the gateway's own offset: timestamp check and `Date`
    /// header.
    ClockOffset { ms: i64 },
}

/// An answer that takes the place of the real one. In JSON `is` names the variant. `status` is the
/// HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "is",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Answer {
    /// A page, as a proxy in between would send it.
    Html { status: u16 },
    /// No body at all.
    Empty { status: u16 },
    /// HTTP 200 and the first half of a JSON text, with a Content-Length that fits it.
    TruncatedJson,
    /// HTTP 200 and `{}`.
    EmptyObject,
    /// An answer in the API's shape: status, Code, Message, x-acs-retry-after.
    Api { refusal: Refusal },
    /// HTTP 307 with this `Location`.
    Redirect { url: String },
    /// HTTP 200 in the API's shape, of this length, with a Message that does not end.
    Huge { bytes: u64 },
    /// Anything.
    Raw {
        status: u16,
        content_type: String,
        body: String,
    },
}

impl Fault {
    /// Loses the request with a FIN.
    pub fn close(at: Stage) -> Self {
        let how = Drop::Close;
        Self::Drop { at, how }
    }

    /// Loses the request with a RST.
    pub fn reset(at: Stage) -> Self {
        let how = Drop::Reset;
        Self::Drop { at, how }
    }

    /// Never answers.
    pub fn blackhole(at: Stage) -> Self {
        let how = Drop::Blackhole;
        Self::Drop { at, how }
    }

    /// Executes, sends the head and half of the body, and closes.
    pub fn half_reply() -> Self {
        Self::close(Stage::HalfReplied)
    }

    pub fn gate(at: Stage) -> Self {
        Self::Gate { at }
    }

    pub fn delay(at: Stage, ms: u64) -> Self {
        Self::Delay { at, ms }
    }

    pub fn answer(at: Stage, answer: Answer) -> Self {
        Self::Answer { at, answer }
    }

    /// Answers in the API's shape.
    pub fn api(at: Stage, refusal: Refusal) -> Self {
        Self::answer(at, Answer::Api { refusal })
    }

    /// HTTP 500.
    pub fn internal_error(at: Stage) -> Self {
        let text = "The request processing has failed due to some unknown error.";
        Self::api(at, Refusal::new(500, "InternalError", text))
    }

    /// HTTP 503.
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
            Self::Slow { .. }
            | Self::OtherPhone { .. }
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
    /// Only this AccessKeyId.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Begin with the n-th matching request (1 is the first).
    #[serde(default)]
    pub nth: Option<u64>,
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
            key_id: None,
            nth: None,
            times: None,
            probability: None,
            seed: 0,
        }
    }

    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    pub fn phone(mut self, phone: impl Into<String>) -> Self {
        self.phone = Some(phone.into());
        self
    }

    pub fn key_id(mut self, id: impl Into<String>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    pub fn once(self) -> Self {
        self.times(1)
    }

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
