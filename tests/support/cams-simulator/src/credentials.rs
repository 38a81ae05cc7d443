//! The checks of key, security token and signature. PURE.

use jiff::Timestamp;

use crate::call::{Call, Signed};
use crate::checks::{missing, refuse};
use crate::config::{AccessKey, KeyState};
use crate::settings::Refusal;
use crate::sign::{acs3_signature, rpc_signature};

/// The key exists, is active, and its security token is right.
pub fn check_key(call: &Call, key: Option<&AccessKey>, now: Timestamp) -> Result<(), Refusal> {
    if call.key_id.is_none() {
        return missing("AccessKeyId");
    }
    let Some(key) = key else {
        return refuse(
            404,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        );
    };
    let ended = key.expires_at.is_some_and(|end| end <= now);
    let state = match key.state {
        KeyState::Active if ended => token_expired(),
        KeyState::Active => Ok(()),
        KeyState::Inactive => refuse(
            400,
            "InvalidAccessKeyId.Inactive",
            "Specified access key is disabled.",
        ),
        KeyState::Disabled => refuse(
            403,
            "Forbidden.AccessKeyDisabled",
            "The access key is disabled.",
        ),
        KeyState::TokenExpired => token_expired(),
    };
    state.and(match (&key.token, &call.token) {
        (None, None) => Ok(()),
        (Some(have), Some(sent)) if have == sent => Ok(()),
        (Some(_), None) => refuse(
            400,
            "MissingSecurityToken",
            "SecurityToken is mandatory for this action.",
        ),
        (Some(_), Some(sent)) if sent.is_empty() => refuse(
            400,
            "InvalidSecurityToken.Malformed",
            "Specified SecurityToken is malformed.",
        ),
        (_, Some(_)) => refuse(
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        ),
    })
}

fn token_expired() -> Result<(), Refusal> {
    refuse(
        400,
        "InvalidSecurityToken.Expired",
        "Specified SecurityToken is expired.",
    )
}

/// The signature is the one the gateway computes. A wrong one is answered with the whole
/// string to sign, code and token included, as the real gateway does.
pub fn check_signature(call: &Call, key: Option<&AccessKey>) -> Result<(), Refusal> {
    let secret = key.map(|key| key.secret.as_str()).unwrap_or_default();
    let incomplete = |what: &str| {
        let text = format!("The request signature does not conform to Aliyun standards: {what}.");
        refuse(400, "IncompleteSignature", &text)
    };
    let Some(sent) = call.signature.as_deref().filter(|sent| !sent.is_empty()) else {
        return incomplete("no signature");
    };
    match &call.signed {
        Signed::Rpc {
            text,
            method,
            version,
        } => {
            if method.as_deref() != Some("HMAC-SHA1") {
                return invalid("SignatureMethod");
            }
            if version.as_deref() != Some("1.0") {
                return invalid("SignatureVersion");
            }
            if rpc_signature(secret, text) == sent {
                return Ok(());
            }
            let message = format!(
                "Specified signature is not matched with our calculation. server string to sign is:{text}"
            );
            refuse(400, "SignatureDoesNotMatch", &message)
        }
        Signed::Acs3 {
            canonical,
            text,
            unsigned,
            known,
        } => {
            if !known {
                return invalid("SignatureMethod");
            }
            if let Some(header) = unsigned {
                return incomplete(&format!("header {header} is not signed"));
            }
            if acs3_signature(secret, text) == sent {
                return Ok(());
            }
            let message = format!(
                "Specified signature does not match our calculation. server StringToSign is [{text}] server CanonicalRequest is [{canonical}]"
            );
            refuse(400, "SignatureDoesNotMatch", &message)
        }
    }
}

fn invalid(name: &str) -> Result<(), Refusal> {
    refuse(
        400,
        &format!("Invalid{name}"),
        &format!("Specified parameter {name} is not valid."),
    )
}
