//! Meaning of each `Code`: the closed lists and their order. PURE.

use super::{BlockCause, RefusalKind, UnknownCause};

/// Meaning of a `Code` together with its HTTP status, for every operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Ok,
    Blocked(BlockCause),
    Throttled,
    Refused(RefusalKind),
    Unknown(UnknownCause),
}

const CREDENTIALS: &[&str] = &[
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidSignatureMethod",
    "InvalidAccessKeyId.*",
    "Forbidden.AccessKeyDisabled",
    "MissingSecurityToken",
    "InvalidSecurityToken.*",
];
const CLOCK: &[&str] = &["InvalidTimeStamp.*", "IllegalTimestamp.*"];
/// Codes that the gateway, or the product before it reads the request, returns to every request of
/// the account. Danger: a code on this list releases the attempt, and the operator sends the
/// verification code again. So the list holds only codes that cannot come from an execution. The
/// brake covers all other errors of an account.
const ACCOUNT: &[&str] = &[
    // Subscription.
    "Product.Unsubscript",
    "Forbidden.Unsubscribed",
    // Rights, of the account and of a RAM user.
    "Ram.PermissionDeny",
    "Forbidden",
    "Forbidden.RAM",
    "Forbidden.NotSupportRAM",
    "Forbedden.NotSupportRAM",
    "Forbidden.SubUser",
    "Forbidden.Authentication",
    "Forbidden.UserVerification",
    "NoPermission",
    "ActionUnauthorized",
    "Forbidden.RiskControl",
    // Arrears.
    "Arrearage.*",
    "Account.Arrearage",
    "InsufficientBalance",
    "InvalidAccountStatus.*",
    // Action, version, product, region, protocol: the endpoint does not serve this API.
    "InvalidApi.*",
    "InvalidAction.*",
    "MissingAction",
    "NoSuchVersion",
    "InvalidVersion.*",
    "MissingVersion",
    "InvalidProduct.*",
    "InvalidRegion.*",
    "InvalidRegionId.*",
    "MissingRegionId",
    "RegionId.ApiNotSupported",
    "InvalidProtocol.*",
    "UnsupportedHTTPMethod",
];
const THROTTLED: &[&str] = &["System.LimitControl", "Throttling.*"];
const SERVER_FAILURE: &[&str] = &["InternalError", "UnknownError", "ServiceUnavailable"];
const REQUEST: &[&str] = &["Unknown.ResourceOwnerId", "Authentication.NoAuth"];

/// Fragments of an unlisted code, without case and punctuation, that name a timeout or a failure
/// inside the service. CAMS may have executed such a call.
const FAILURE_WORDS: &[&str] = &[
    "timeout",
    "timedout",
    "deadline",
    "internal",
    "unavailable",
    "unknownerror",
    "servererror",
    "serviceerror",
    "systemerror",
    "systembusy",
    "serverbusy",
    "unexpected",
];

/// The whole decision. The order matters: the closed lists, which release an attempt, come before
/// the open patterns, which end it.
pub(super) fn meaning(status: u16, code: &str) -> Meaning {
    let listed = |list: &[&str]| list.iter().any(|pattern| matches_pattern(code, pattern));
    if code == "OK" {
        return if status == 200 {
            Meaning::Ok
        } else {
            Meaning::Unknown(UnknownCause::UnclearSuccess)
        };
    }
    if listed(&["OK", "Success", "200"]) {
        return Meaning::Unknown(UnknownCause::UnclearSuccess);
    }
    if listed(&["SignatureNonceUsed"]) {
        return Meaning::Unknown(UnknownCause::NonceUsed);
    }
    if listed(SERVER_FAILURE) {
        return Meaning::Unknown(UnknownCause::ServerFailure);
    }
    if listed(CREDENTIALS) {
        return Meaning::Blocked(BlockCause::Credentials);
    }
    if listed(CLOCK) {
        return Meaning::Blocked(BlockCause::Clock);
    }
    if listed(ACCOUNT) {
        return Meaning::Blocked(BlockCause::Account);
    }
    if listed(THROTTLED) {
        return Meaning::Throttled;
    }
    let plain = plain(code);
    let is_failure = FAILURE_WORDS.iter().any(|word| plain.contains(word));
    // 429 means "not executed" only if the code does not contradict it.
    if status == 429 && !is_failure {
        return Meaning::Throttled;
    }
    if listed(REQUEST) {
        return Meaning::Refused(RefusalKind::Request);
    }
    if plain.starts_with("missing") || plain.starts_with("invalid") {
        return Meaning::Refused(if names_the_code(code, &plain) {
            RefusalKind::Code
        } else {
            RefusalKind::Request
        });
    }
    // 408 is a timeout in HTTP's own terms.
    let refusable = status == 200 || ((400..500).contains(&status) && status != 408);
    if is_failure || !refusable {
        return Meaning::Unknown(UnknownCause::ServerFailure);
    }
    Meaning::Refused(RefusalKind::Code)
}

/// `X` matches `X`; `X.*` matches `X` and everything below it.
fn matches_pattern(code: &str, pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        None => code.eq_ignore_ascii_case(pattern),
        Some(family) => {
            let head = code.get(..family.len());
            let below = code.as_bytes().get(family.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(family))
                && matches!(below, None | Some(b'.'))
        }
    }
}

/// Lower-case letters and digits only.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// True if a Missing* or Invalid* code is about the verification code (and not, for example, the
/// country code).
fn names_the_code(code: &str, plain: &str) -> bool {
    let whole_words = ["code", "invalidcode", "missingcode"];
    plain.contains("verifycode")
        || plain.contains("verificationcode")
        || plain.contains("smscode")
        || code.split('.').any(|part| {
            whole_words
                .iter()
                .any(|word| part.eq_ignore_ascii_case(word))
        })
}
