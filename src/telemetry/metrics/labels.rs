//! The closed sets that label values come from. PURE.

/// Longest code that is compared with the list; CAMS's own codes are far shorter.
const LONGEST_CODE: usize = 64;

/// How a request to CAMS ended, as far as the label shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A reply in the API's own shape, with this `Code`.
    Code(&'a str),
    /// A reply that is not the API's: a load balancer's page, or half a body.
    NotTheApi,
    /// Sent, at least in part, without a reply.
    NoReply,
    /// Provably not sent: DNS, connect or TLS failed.
    NotSent,
}

impl Answer<'_> {
    /// The label of this answer.
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

/// Codes of STS with a label of their own.
const STS_CODES: [&str; 21] = [
    "OK",
    "AuthenticationFail",
    "AuthenticationFail.NoPermission",
    "AuthenticationFail.OIDCToken",
    "AuthenticationFail.OIDCToken.AudienceNotMatch",
    "AuthenticationFail.OIDCToken.Expired",
    "AuthenticationFail.OIDCToken.IssuerConfigurationBroken",
    "AuthenticationFail.OIDCToken.IssuerNotMatch",
    "EntityNotExist.Role",
    "InternalError",
    "InvalidAccessKeyId",
    "InvalidParameter",
    "InvalidSecurityToken",
    "InvalidTimeStamp",
    "NoPermission",
    "NoReply",
    "NotSent",
    "NotTheApi",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttling",
];

/// The label of a `Code` from outside: one of a fixed set, or `other`.
pub fn code_label(code: &str) -> &'static str {
    label_among(&KNOWN_CODES, code)
}

/// The label of a `Code` of STS: one of a fixed set, or `other`.
pub(super) fn sts_code_label(code: &str) -> &'static str {
    label_among(&STS_CODES, code)
}

fn label_among(known_codes: &[&'static str], code: &str) -> &'static str {
    if code.len() > LONGEST_CODE {
        return "other";
    }
    let mut stem = code;
    loop {
        if let Some(known) = known_codes.iter().find(|known| **known == stem) {
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
    /// CAMS may still accept the signature.
    Provisional,
    /// The signature has expired, and the operator cannot read the number's status.
    Overdue,
    /// The signature has expired, and the number is not verified.
    Final,
}

impl UnknownKind {
    /// All states.
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

/// State of the watch of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// The namespace was not listed yet.
    Starting,
    /// The operator sees changes.
    Watching,
    /// RBAC refuses the watch.
    Forbidden,
    /// The watch fails for another reason.
    Failing,
}

impl WatchState {
    /// All states.
    pub const ALL: [WatchState; 4] = [
        WatchState::Starting,
        WatchState::Watching,
        WatchState::Forbidden,
        WatchState::Failing,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            WatchState::Starting => "starting",
            WatchState::Watching => "watching",
            WatchState::Forbidden => "forbidden",
            WatchState::Failing => "failing",
        }
    }
}

/// Every label that an answer of CAMS can get.
pub(super) fn answers() -> impl Iterator<Item = &'static str> {
    let own = [Answer::NotTheApi, Answer::NoReply, Answer::NotSent];
    KNOWN_CODES
        .into_iter()
        .chain(own.map(Answer::label))
        .chain(["other"])
}

/// Every label that an answer of STS can get.
pub(super) fn sts_answers() -> impl Iterator<Item = &'static str> {
    STS_CODES.into_iter().chain(["other"])
}

/// Tasks that run apart from reconciles.
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

/// The values of [`http_status_label`]; 200 means that the stored object differs from the written
/// one.
pub(super) const HTTP_STATUSES: [&str; 10] = [
    "none", "200", "401", "403", "404", "413", "422", "429", "5xx", "other",
];

/// Statuses of the API server that mean something for a write; the others by class.
pub(super) fn http_status_label(status: Option<u16>) -> &'static str {
    match status.unwrap_or(0) {
        0 => "none",
        200 => "200",
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
