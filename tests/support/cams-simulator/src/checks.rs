//! The gateway's checks, in the configured order. PURE: time comes in.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::call::Call;
use crate::config::AccessKey;
use crate::credentials::{check_key, check_signature};
use crate::ledger::{READ_STATUS, VERIFIED};
use crate::nonces::Nonces;
use crate::quota::Window;
use crate::settings::{AccountSettings, Check, NonceScope, Refusal, Settings};
use crate::sts::{STS_ACTIONS, STS_VERSION, check_right, is_unsigned};

const VERSION: &str = "2020-06-06";

/// The actions and their required parameters.
pub const ACTIONS: [(&str, &[&str]); 5] = [
    (
        "CreateChatappMigrationInitiate",
        &["CustSpaceId", "CountryCode", "MobileNumber"],
    ),
    (
        "GetMigrationVerifyCode",
        &["CustSpaceId", "PhoneNumber", "Locale", "Method"],
    ),
    (VERIFIED, &["CustSpaceId", "PhoneNumber", "VerifyCode"]),
    ("ChatappMigrationRegister", &["CustSpaceId", "PhoneNumber"]),
    (READ_STATUS, &["CustSpaceId", "PhoneNumber"]),
];

/// The gateway's memory between calls.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    windows: HashMap<(String, String), Window>,
    nonces: Nonces,
}

/// When a call is checked.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Monotonic microseconds.
    pub us: u64,
    /// The gateway's wall clock.
    pub wall: Timestamp,
}

/// How the checks ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All passed.
    Passed,
    /// One failed.
    Rejected(Refusal),
    /// Over the quota, or in a throttle phase.
    Throttled(Refusal),
}

/// The verdict, and the facts learnt on the way.
#[derive(Clone, Debug)]
pub struct Checked {
    pub verdict: Verdict,
    /// The account of the key.
    pub account: Option<String>,
    /// Whether the signature was right.
    pub signature_ok: Option<bool>,
    /// The quota check was reached.
    pub counted: bool,
}

/// Makes the checks. `phase` is the answer of a throttle phase, if one is on.
pub fn check(
    settings: &Settings,
    keys: &BTreeMap<String, AccessKey>,
    memory: &mut Memory,
    call: &Call,
    at: At,
    phase: Option<&Refusal>,
) -> Checked {
    let key = call.key_id.as_ref().and_then(|id| keys.get(id));
    let account = key.map(|key| key.account().to_owned());
    let mut checked = Checked {
        verdict: Verdict::Passed,
        account: account.clone(),
        signature_ok: None,
        counted: false,
    };
    let account = account.unwrap_or_default();
    let unsigned = is_unsigned(call);
    for check in &settings.checks {
        let result = match check {
            Check::AccessKey if unsigned => well_formed(call),
            Check::Signature | Check::Nonce if unsigned => Ok(()),
            Check::Timestamp if unsigned && call.timestamp.is_none() => Ok(()),
            Check::AccessKey => well_formed(call).and_then(|()| check_key(call, key, at.wall)),
            Check::Signature => {
                let result = check_signature(call, key);
                checked.signature_ok = Some(result.is_ok());
                result
            }
            Check::Timestamp => check_timestamp(settings, call, at.wall),
            Check::Nonce => check_nonce(settings, memory, call, &account, at.us),
            Check::Api => check_api(call),
            Check::Permission => {
                check_right(call, key).and_then(|()| check_permission(settings, call, &account))
            }
            Check::Quota => {
                checked.counted = true;
                let quota = settings.quota_of(&call.action);
                let window = memory
                    .windows
                    .entry((account.clone(), call.action.clone()))
                    .or_default();
                let refusal = match phase {
                    Some(refusal) => Some(refusal),
                    None if window.admit(quota, at.us) => None,
                    None => Some(&settings.throttle),
                };
                if let Some(refusal) = refusal {
                    checked.verdict = Verdict::Throttled(refusal.clone());
                    return checked;
                }
                Ok(())
            }
        };
        if let Err(refusal) = result {
            checked.verdict = Verdict::Rejected(refusal);
            return checked;
        }
    }
    checked
}

fn well_formed(call: &Call) -> Result<(), Refusal> {
    if !matches!(call.method.as_str(), "GET" | "POST") {
        return refuse(
            400,
            "UnsupportedHTTPMethod",
            "This http method is not supported.",
        );
    }
    if call.path != "/" {
        return refuse(
            404,
            "InvalidApi.NotFound",
            "Specified api is not found, please check your url and method.",
        );
    }
    if call.malformed {
        return refuse(400, "InvalidParameter", "A parameter is not UTF-8.");
    }
    Ok(())
}

fn check_timestamp(settings: &Settings, call: &Call, wall: Timestamp) -> Result<(), Refusal> {
    let Some(sent) = call.timestamp.as_deref() else {
        return refuse(
            400,
            "IllegalTimestamp",
            "The input parameter Timestamp is mandatory for processing this request.",
        );
    };
    let shape = sent.len() == 20 && sent.ends_with('Z') && sent.as_bytes().get(10) == Some(&b'T');
    let Some(sent) = sent.parse::<Timestamp>().ok().filter(|_| shape) else {
        return refuse(
            400,
            "InvalidTimeStamp.Format",
            "Specified time stamp or date value is not well formatted.",
        );
    };
    let age = wall.duration_since(sent);
    let beyond = |age: SignedDuration, limit: Option<u64>| {
        limit.is_some_and(|ms| age.as_millis() > i128::from(ms))
    };
    if beyond(age, settings.timestamp_past_ms) || beyond(-age, settings.timestamp_future_ms) {
        return refuse(
            400,
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        );
    }
    Ok(())
}

fn check_nonce(
    settings: &Settings,
    memory: &mut Memory,
    call: &Call,
    account: &str,
    now_us: u64,
) -> Result<(), Refusal> {
    let Some(nonce) = call.nonce.as_deref().filter(|nonce| !nonce.is_empty()) else {
        return missing("SignatureNonce");
    };
    let scope = match settings.nonce_scope {
        NonceScope::Account => account,
        NonceScope::Key => call.key_id.as_deref().unwrap_or_default(),
        NonceScope::Global => "",
    };
    let retention_us = settings.nonce_retention_ms.saturating_mul(1000);
    if memory.nonces.take(scope, nonce, now_us, retention_us) {
        Ok(())
    } else {
        Err(nonce_used())
    }
}

fn check_api(call: &Call) -> Result<(), Refusal> {
    let actions: &[(&str, &[&str])] = match call.version.as_deref() {
        None => return missing("Version"),
        Some(VERSION) => &ACTIONS,
        Some(STS_VERSION) => &STS_ACTIONS,
        Some(_) => {
            return refuse(
                400,
                "InvalidVersion",
                "Specified parameter Version is not valid.",
            );
        }
    };
    if call.action.is_empty() {
        return missing("Action");
    }
    let Some((_, required)) = actions.iter().find(|(name, _)| *name == call.action) else {
        return refuse(
            404,
            "InvalidApi.NotFound",
            "Specified api is not found, please check your url and method.",
        );
    };
    match required.iter().find(|name| call.param(name).is_none()) {
        Some(name) => missing(name),
        None => Ok(()),
    }
}

fn check_permission(settings: &Settings, call: &Call, account: &str) -> Result<(), Refusal> {
    let Some(AccountSettings {
        unsubscribed,
        risk_control,
        denied,
    }) = settings.accounts.get(account)
    else {
        return Ok(());
    };
    if *risk_control {
        return refuse(
            403,
            "Forbidden.RiskControl",
            "This operation is forbidden by Aliyun Risk Control system.",
        );
    }
    if *unsubscribed {
        return refuse(400, "Product.Unsubscript", "The product is not subscribed.");
    }
    match denied.get(&call.action).or_else(|| denied.get("*")) {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(()),
    }
}

/// The refusal of a nonce that was seen before.
pub fn nonce_used() -> Refusal {
    Refusal::new(
        400,
        "SignatureNonceUsed",
        "Specified signature nonce was used already.",
    )
}

/// The refusal of a parameter that is not there.
pub(crate) fn missing(name: &str) -> Result<(), Refusal> {
    refuse(
        400,
        &format!("Missing{name}"),
        &format!("{name} is mandatory for this action."),
    )
}

pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Result<(), Refusal> {
    Err(Refusal::new(status, code, message))
}
