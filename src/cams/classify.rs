//! What a reply means, as a closed set. PURE.
//!
//! The direction of every doubt: an answer that is not certainly the API's, or not certainly
//! about this attempt, is [`Verdict::Unknown`]. Releasing an attempt that was executed would
//! send its code twice; recording a refusal of one that succeeded would lose it.
//!
//! Codes are compared without regard to case (the documents spell some both ways), except
//! `OK`: another spelling of success is not success, and not a refusal either.

use std::time::Duration;

use jiff::Timestamp;

use super::scrub::mask_phone;
use super::wire::{ApiBody, Reply};

mod meaning;

use meaning::{Meaning, meaning};

/// What came of one request.
pub type Sent = Result<Reply, SendError>;

/// A request without a complete reply. The texts are ours and hold neither URL nor secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No byte of the request left.
    NotSent(NotSentCause, String),
    /// The request may have been executed.
    Unknown(UnknownCause, String),
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentCause {
    /// The name has no usable address.
    Dns,
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The caller's gate refused.
    Gate,
}

/// Why the outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// No complete reply before the deadline.
    Timeout,
    /// The connection ended first.
    ConnectionLost,
    /// A reply that was too large to read.
    ReplyTooLarge,
    /// A reply that is not in the API's shape.
    NotTheApi,
    /// `SignatureNonceUsed`: an earlier copy of this very request reached the gateway.
    NonceUsed,
    /// The API reports its own failure or timeout.
    ServerFailure,
    /// The reply is about another phone number.
    OtherNumber,
    /// A success that is not `OK` with HTTP 200.
    UnclearSuccess,
}

/// What holds the whole account back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCause {
    /// Key, secret, token or signature.
    Credentials,
    /// Subscription, permission, risk control, endpoint.
    Account,
    /// Our clock, or the server's.
    Clock,
}

/// A refusal of this request alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The API's `Code`.
    pub code: String,
    /// Who can do something about it.
    pub kind: RefusalKind,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The code, or anything that is not known better.
    Code,
    /// The request's other parameters, or the ownership of the number.
    Request,
}

/// What came of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Executed and accepted.
    Accepted {
        /// `Data.Id`; read it later when absent.
        id: Option<String>,
        /// `Data.PhoneNumber`, masked.
        phone_number: Option<String>,
    },
    /// Executed and refused.
    Refused(Refusal),
    /// Not executed: over quota.
    Throttled {
        /// The pause that the server asks for.
        after: Option<Duration>,
    },
    /// Nothing left this process.
    NotSent(NotSentCause),
    /// Not executed, and no other request of the account would be.
    Blocked(BlockCause),
    /// May have been executed.
    Unknown(UnknownCause),
}

/// A verdict with what is shown and recorded beside it. `code`, `message` and `request_id`
/// are as received until the facade scrubs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What came of it.
    pub verdict: Verdict,
    /// The API's `Code`.
    pub code: Option<String>,
    /// The API's message, or ours when there was no reply.
    pub message: Option<String>,
    /// The API's request id.
    pub request_id: Option<String>,
    /// The server's clock.
    pub date: Option<Timestamp>,
    /// HTTP status of a reply in the API's shape.
    pub api_status: Option<u16>,
}

/// What a status read says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusVerdict {
    /// `VERIFIED`.
    Verified {
        /// `Data.Id`.
        id: Option<String>,
        /// `Data.PhoneNumber`, masked.
        phone_number: Option<String>,
    },
    /// Read, and something other than `VERIFIED`.
    NotVerified {
        /// `Data.CodeVerificationStatus`.
        status: String,
    },
    /// Over the read quota.
    Throttled {
        /// The pause that the server asks for.
        after: Option<Duration>,
    },
    /// Nothing can be read with this account now.
    Blocked(BlockCause),
    /// The read itself failed; it says nothing about the number.
    Failed(ReadFailure),
}

/// Why a read says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// It did not leave.
    NotSent(NotSentCause),
    /// No usable reply.
    Unknown(UnknownCause),
    /// The API refuses to read this number.
    Refused(Refusal),
    /// `OK`, without a verification status.
    NoStatus,
}

/// A status read with what is shown beside it; the fields are [`Answer`]'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusAnswer {
    /// What it says.
    pub verdict: StatusVerdict,
    /// The API's `Code`.
    pub code: Option<String>,
    /// The API's message, or ours when there was no reply.
    pub message: Option<String>,
    /// The API's request id.
    pub request_id: Option<String>,
    /// The server's clock.
    pub date: Option<Timestamp>,
    /// HTTP status of a reply in the API's shape.
    pub api_status: Option<u16>,
}

impl StatusAnswer {
    /// Whether this read ends a transport, credentials or clock hold: a reply in the API's
    /// shape that is neither a credentials or clock error nor a 5xx.
    pub fn ends_hold(&self) -> bool {
        let served = self.api_status.is_some_and(|status| status < 500);
        let blocked = match &self.verdict {
            StatusVerdict::Blocked(BlockCause::Credentials | BlockCause::Clock) => true,
            StatusVerdict::Blocked(BlockCause::Account)
            | StatusVerdict::Verified { .. }
            | StatusVerdict::NotVerified { .. }
            | StatusVerdict::Throttled { .. }
            | StatusVerdict::Failed(_) => false,
        };
        served && !blocked
    }
}

/// Decides what came of a submission for `phone_number` (digits).
pub fn classify(sent: Sent, phone_number: &str) -> Answer {
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => return unanswered(error),
    };
    let (status, date, after) = (reply.status, reply.date, reply.retry_after);
    let Some(body) = reply.api else {
        return Answer {
            verdict: Verdict::Unknown(UnknownCause::NotTheApi),
            code: None,
            message: Some(not_the_api(status)),
            request_id: None,
            date,
            api_status: None,
        };
    };
    let verdict = match meaning(status, &body.code) {
        Meaning::Ok if !same_number(body.phone_number.as_deref(), phone_number) => {
            Verdict::Unknown(UnknownCause::OtherNumber)
        }
        Meaning::Ok => Verdict::Accepted {
            id: body.id,
            phone_number: masked(body.phone_number.as_deref()),
        },
        Meaning::Blocked(cause) => Verdict::Blocked(cause),
        Meaning::Throttled => Verdict::Throttled { after },
        Meaning::Refused(kind) => Verdict::Refused(Refusal {
            code: body.code.clone(),
            kind,
        }),
        Meaning::Unknown(cause) => Verdict::Unknown(cause),
    };
    Answer {
        verdict,
        code: Some(body.code),
        message: body.message,
        request_id: body.request_id,
        date,
        api_status: Some(status),
    }
}

fn unanswered(error: SendError) -> Answer {
    let (verdict, message) = match error {
        SendError::NotSent(cause, text) => (Verdict::NotSent(cause), text),
        SendError::Unknown(cause, text) => (Verdict::Unknown(cause), text),
    };
    Answer {
        verdict,
        code: None,
        message: Some(message),
        request_id: None,
        date: None,
        api_status: None,
    }
}

fn not_the_api(status: u16) -> String {
    format!("HTTP {status} with a body that is not the API's")
}

/// Decides what a status read of `phone_number` (digits) says.
pub fn classify_status(sent: Sent, phone_number: &str) -> StatusAnswer {
    // The same rules decide; only what `OK` brings along is different.
    let read = match &sent {
        Ok(Reply {
            api: Some(body), ..
        }) => ReadBody::of(body),
        Ok(_) | Err(_) => ReadBody::default(),
    };
    let answer = classify(sent, phone_number);
    let verdict = match answer.verdict {
        Verdict::Accepted { id, phone_number } => match read.status {
            Some(status) if status == "VERIFIED" => StatusVerdict::Verified { id, phone_number },
            Some(status) => StatusVerdict::NotVerified { status },
            None => StatusVerdict::Failed(ReadFailure::NoStatus),
        },
        Verdict::Refused(refusal) => StatusVerdict::Failed(ReadFailure::Refused(refusal)),
        Verdict::Throttled { after } => StatusVerdict::Throttled { after },
        Verdict::NotSent(cause) => StatusVerdict::Failed(ReadFailure::NotSent(cause)),
        Verdict::Blocked(cause) => StatusVerdict::Blocked(cause),
        Verdict::Unknown(cause) => StatusVerdict::Failed(ReadFailure::Unknown(cause)),
    };
    StatusAnswer {
        verdict,
        code: answer.code,
        message: answer.message,
        request_id: answer.request_id,
        date: answer.date,
        api_status: answer.api_status,
    }
}

#[derive(Default)]
struct ReadBody {
    status: Option<String>,
}

impl ReadBody {
    fn of(body: &ApiBody) -> Self {
        Self {
            status: body
                .code_verification_status
                .clone()
                .filter(|status| !status.trim().is_empty()),
        }
    }
}

/// Whether a returned number can be the one that was sent: digits only, `*` matches one digit,
/// absent is fine.
fn same_number(returned: Option<&str>, sent: &str) -> bool {
    let Some(returned) = returned else {
        return true;
    };
    let shown: Vec<char> = returned
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '*')
        .collect();
    if shown.is_empty() {
        // "", "None": no number at all. Digits of another script are one that we cannot read.
        return !returned.chars().any(char::is_numeric);
    }
    let sent: Vec<char> = sent.chars().filter(char::is_ascii_digit).collect();
    shown.len() == sent.len() && shown.iter().zip(&sent).all(|(a, b)| *a == '*' || a == b)
}

fn masked(returned: Option<&str>) -> Option<String> {
    returned.map(mask_phone).filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests;
