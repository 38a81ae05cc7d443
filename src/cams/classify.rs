//! Classifies a reply into a closed set of verdicts. PURE.
//!
//! Every doubt goes in one direction: an answer that is not certainly the API's, or not certainly
//! about this attempt, is [`Verdict::Unknown`]. If the operator released an attempt that was
//! executed, it would send the code twice. If it recorded a refusal of an attempt that succeeded,
//! the success would be lost.
//!
//! Codes are compared without regard to case (the documents spell some both ways), except `OK`:
//! another spelling of success is neither a success nor a refusal.

use std::time::Duration;

use jiff::Timestamp;

use super::scrub::mask_phone;
use super::wire::{ApiBody, Reply};
use crate::api::shown_number::ShownNumber;

mod meaning;

use meaning::{Meaning, meaning};

/// Result of one request.
pub type Sent = Result<Reply, SendError>;

/// A request without a complete reply. The operator writes the texts; they hold neither URL nor
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No byte of the request left.
    NotSent(NotSentCause, String),
    /// The request may have been executed.
    Unknown(UnknownCause, String),
}

/// Why the client sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentCause {
    /// The name has no usable address.
    Dns,
    /// No TCP connection came about.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The caller's gate refused.
    Gate,
}

impl NotSentCause {
    /// The word in `status.errorCode`. It is API: never rename it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "NotSent.Dns",
            Self::Connect => "NotSent.Connect",
            Self::Tls => "NotSent.Tls",
            Self::Gate => "NotSent",
        }
    }
}

/// Why the outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// No complete reply before the deadline.
    Timeout,
    /// The connection ended before the complete reply.
    ConnectionLost,
    /// The reply was too large to read.
    ReplyTooLarge,
    /// The reply is not in the API's shape.
    NotTheApi,
    /// `SignatureNonceUsed`: an earlier copy of this request reached the gateway.
    NonceUsed,
    /// The API reports its own failure or timeout.
    ServerFailure,
    /// A success that is not `OK` with HTTP 200.
    UnclearSuccess,
}

impl UnknownCause {
    /// The word in `status.errorCode`. It is API: never rename it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "Timeout",
            Self::ConnectionLost => "ConnectionLost",
            Self::ReplyTooLarge => "ReplyTooLarge",
            Self::NotTheApi => "NotTheApi",
            Self::NonceUsed => "NonceUsed",
            Self::ServerFailure => "ServerFailure",
            Self::UnclearSuccess => "UnclearSuccess",
        }
    }
}

/// Why the API rejects all requests of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCause {
    /// Key, secret, token or signature.
    Credentials,
    /// Subscription, permission, risk control, endpoint.
    Account,
    /// The local clock or the server's clock is wrong.
    Clock,
}

/// A refusal of this request alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The API's `Code`.
    pub code: String,
    /// The rejected part of the request.
    pub kind: RefusalKind,
}

/// The part of a request that the API rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The code, or a part that is not known.
    Code,
    /// The request's other parameters, or the ownership of the number.
    Request,
}

/// Result of a call. `T`: the content of an `OK` reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T = VerifiedNumber> {
    /// Executed, and answered with `OK`.
    Accepted(T),
    /// Executed and refused.
    Refused(Refusal),
    /// Not executed: over quota.
    Throttled {
        /// The pause that the server asks for.
        after: Option<Duration>,
    },
    /// No byte left this process.
    NotSent(NotSentCause),
    /// Not executed; the API would reject every other request of the account too.
    Blocked(BlockCause),
    /// CAMS may have executed it.
    Unknown(UnknownCause),
}

/// A number that CAMS says is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedNumber {
    /// `Data.Id`; read it later when absent.
    pub id: Option<String>,
    /// `Data.PhoneNumber`.
    pub phone_number: Option<ShownNumber>,
}

/// Result of a status read that the API answered with `OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberStatus {
    /// `VERIFIED`.
    Verified(VerifiedNumber),
    /// Anything else.
    NotVerified {
        /// `Data.CodeVerificationStatus`.
        status: String,
    },
    /// `OK`, without a verification status.
    Missing,
}

/// A verdict with the texts that the operator shows and records. `code`, `message` and `request_id`
/// are as received until [`super::Cams`] scrubs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T = VerifiedNumber> {
    /// Result of the call.
    pub verdict: Verdict<T>,
    /// The API's `Code`.
    pub code: Option<String>,
    /// The API's message, or the operator's when there was no reply.
    pub message: Option<String>,
    /// The API's request id.
    pub request_id: Option<String>,
    /// The server's clock. From [`super::Cams`]: only if it believes the clock.
    pub date: Option<Timestamp>,
    /// HTTP status of a reply in the API's shape.
    pub api_status: Option<u16>,
}

/// The answer to a status read.
pub type StatusAnswer = Answer<NumberStatus>;

impl<T> Verdict<T> {
    /// The same, with another content.
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Accepted(content) => Verdict::Accepted(f(content)),
            Self::Refused(refusal) => Verdict::Refused(refusal),
            Self::Throttled { after } => Verdict::Throttled { after },
            Self::NotSent(cause) => Verdict::NotSent(cause),
            Self::Blocked(cause) => Verdict::Blocked(cause),
            Self::Unknown(cause) => Verdict::Unknown(cause),
        }
    }

    /// The operator's word for an answer that carries no `Code`. These words are API: they stand in
    /// status.errorCode.
    pub fn own_code(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(cause) => Some(cause.as_str()),
            Self::NotSent(cause) => Some(cause.as_str()),
            Self::Throttled { .. } => Some("Throttled"),
            Self::Accepted(_) | Self::Refused(_) | Self::Blocked(_) => None,
        }
    }
}

impl StatusAnswer {
    /// True if this read ends a transport, credentials or clock hold: a reply in the API's shape
    /// that is neither a credentials or clock error nor a 5xx.
    pub fn ends_hold(&self) -> bool {
        let served = self.api_status.is_some_and(|status| status < 500);
        let blocked = match &self.verdict {
            Verdict::Blocked(BlockCause::Credentials | BlockCause::Clock) => true,
            Verdict::Blocked(BlockCause::Account)
            | Verdict::Accepted(_)
            | Verdict::Refused(_)
            | Verdict::Throttled { .. }
            | Verdict::NotSent(_)
            | Verdict::Unknown(_) => false,
        };
        served && !blocked
    }
}

/// Classifies the result of a submission for `phone_number` (digits).
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
        Meaning::Ok => Verdict::Accepted(VerifiedNumber {
            id: body.id,
            phone_number: shown(body.phone_number.as_deref(), phone_number),
        }),
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

/// Classifies the result of a status read of `phone_number` (digits). The rules are those of a
/// submission; only the content of an `OK` reply differs.
pub fn classify_status(sent: Sent, phone_number: &str) -> StatusAnswer {
    let status = match &sent {
        Ok(reply) => reply.api.as_ref().and_then(verification_status),
        Err(_) => None,
    };
    let answer = classify(sent, phone_number);
    Answer {
        verdict: answer.verdict.map(|number| match status {
            Some(status) if status == "VERIFIED" => NumberStatus::Verified(number),
            Some(status) => NumberStatus::NotVerified { status },
            None => NumberStatus::Missing,
        }),
        code: answer.code,
        message: answer.message,
        request_id: answer.request_id,
        date: answer.date,
        api_status: answer.api_status,
    }
}

fn verification_status(body: &ApiBody) -> Option<String> {
    let status = body.code_verification_status.clone();
    status.filter(|status| !status.trim().is_empty())
}

/// The number of a reply, for display only. It decides nothing: the connection ties the reply to
/// its request, and the service may spell a number differently (52 1 55…, 55 11 9…) or mask it.
fn shown(returned: Option<&str>, sent: &str) -> Option<ShownNumber> {
    let shown = ShownNumber {
        masked: mask_phone(returned?),
        is_other: !same_number(returned?, sent),
    };
    (shown.is_other || !shown.masked.is_empty()).then_some(shown)
}

/// True if the returned number can be the sent one: only digits count, and `*` matches one digit.
fn same_number(returned: &str, sent: &str) -> bool {
    let shown: Vec<char> = returned
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '*')
        .collect();
    if shown.is_empty() {
        // "", "None": not a number. Digits of another script are a number that this function cannot
        // read.
        return !returned.chars().any(char::is_numeric);
    }
    let sent: Vec<char> = sent.chars().filter(char::is_ascii_digit).collect();
    shown.len() == sent.len() && shown.iter().zip(&sent).all(|(a, b)| *a == '*' || a == b)
}

#[cfg(test)]
mod tests;
