//! The closed sets that label values come from. PURE.

/// Longest code that is looked at; CAMS's own are far shorter.
const LONGEST_CODE: usize = 64;

/// How a request to CAMS ended, as far as its label goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A reply in the API's own shape, with this `Code`.
    Code(&'a str),
    /// A reply, but not the API's: a load balancer's page, half a body.
    NotTheApi,
    /// Sent, at least in part, and no reply.
    NoReply,
    /// Provably not sent: DNS, connect or TLS failed.
    NotSent,
}

impl Answer<'_> {
    /// Its label.
    pub fn label(self) -> &'static str {
        match self {
            Answer::Code(code) => code_label(code),
            Answer::NotTheApi => "NotTheApi",
            Answer::NoReply => "NoReply",
            Answer::NotSent => "NotSent",
        }
    }
}

/// Codes with a label of their own. `X.Y` that is not listed counts as `X`.
const KNOWN_CODES: [&str; 38] = [
    "OK",
    "Authentication.NoAuth",
    "Forbidden",
    "Forbidden.AccessKeyDisabled",
    "Forbidden.RAM",
    "Forbidden.RiskControl",
    "IllegalTimestamp",
    "IncompleteSignature",
    "InternalError",
    "InvalidAccessKeyId.Inactive",
    "InvalidAccessKeyId.NotFound",
    "InvalidAccessKeyId",
    "InvalidApi.NotFound",
    "InvalidParameter",
    "InvalidProduct.NotFound",
    "InvalidProtocol.NeedSsl",
    "InvalidSecurityToken",
    "InvalidSecurityToken.Expired",
    "InvalidSignatureMethod",
    "InvalidTimeStamp",
    "InvalidTimeStamp.Expired",
    "InvalidTimeStamp.Format",
    "MissingParameter",
    "MissingSecurityToken",
    "NoPermission",
    "Product.Unsubscript",
    "Ram.PermissionDeny",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SignatureNonceUsed",
    "System.LimitControl",
    "Throttling",
    "Throttling.Api",
    "Throttling.User",
    "Unknown.ResourceOwnerId",
    "UnknownError",
    "UnsupportedHTTPMethod",
    "InvalidParameter.PhoneNumberError",
];

/// The label of a `Code` that somebody else chose: one of a fixed set, or `other`.
pub fn code_label(code: &str) -> &'static str {
    if code.len() > LONGEST_CODE {
        return "other";
    }
    let mut stem = code;
    loop {
        if let Some(known) = KNOWN_CODES.iter().find(|known| **known == stem) {
            return known;
        }
        match stem.rsplit_once('.') {
            Some((shorter, _)) => stem = shorter,
            None => return "other",
        }
    }
}

/// The states of an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKind {
    /// The signature may still be good.
    Provisional,
    /// It is not, and the number's status cannot be read.
    Overdue,
    /// It is not, and the number is not verified.
    Final,
}

impl UnknownKind {
    /// All.
    pub const ALL: [UnknownKind; 3] = [
        UnknownKind::Provisional,
        UnknownKind::Overdue,
        UnknownKind::Final,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            UnknownKind::Provisional => "provisional",
            UnknownKind::Overdue => "overdue",
            UnknownKind::Final => "final",
        }
    }
}

/// Every label that an answer can get.
pub(super) fn answers() -> impl Iterator<Item = &'static str> {
    let own = [Answer::NotTheApi, Answer::NoReply, Answer::NotSent];
    KNOWN_CODES
        .into_iter()
        .chain(own.map(Answer::label))
        .chain(["other"])
}

/// Tasks that run beside the visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// From a turn to a recorded outcome.
    Attempt,
    /// Reads the status of a number whose outcome is open.
    Observation,
}

impl Task {
    pub(super) const ALL: [Task; 2] = [Task::Attempt, Task::Observation];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Task::Attempt => "attempt",
            Task::Observation => "observation",
        }
    }
}

/// What [`http_status_label`] gives.
pub(super) const HTTP_STATUSES: [&str; 9] = [
    "none", "401", "403", "404", "413", "422", "429", "5xx", "other",
];

/// Apiserver statuses that mean something for a status write; the rest by class.
pub(super) fn http_status_label(status: Option<u16>) -> &'static str {
    match status.unwrap_or(0) {
        0 => "none",
        401 => "401",
        403 => "403",
        404 => "404",
        413 => "413",
        422 => "422",
        429 => "429",
        500..=599 => "5xx",
        _ => "other",
    }
}
