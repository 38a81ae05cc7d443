//! The behaviour of the gateway, all of it changeable while it runs. PURE.
//!
//! Where the real service is undocumented (order of checks, scope and life of nonces, kind
//! of window, the codes of refusals) there is a switch, so that both answers can be tried.
//! Durations are milliseconds; every field is optional in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sts::STS_ACTIONS;

/// Calls per second that STS takes of an account.
const STS_QPS: u32 = 100;

/// Behaviour of the gateway. `PATCH /settings` merges into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Settings {
    /// A Timestamp older than this is `InvalidTimeStamp.Expired`; null: never. 15 min.
    pub timestamp_past_ms: Option<u64>,
    /// A Timestamp ahead by more than this is `InvalidTimeStamp.Expired`; null: never. 15 min.
    pub timestamp_future_ms: Option<u64>,
    /// How long a nonce is remembered, by the monotonic clock; 0: not at all. 31 min.
    pub nonce_retention_ms: u64,
    /// Where a nonce must be unique.
    pub nonce_scope: NonceScope,
    /// Order of the checks; a check left out is not made. `AccessKey` has to come first.
    pub checks: Vec<Check>,
    /// Quota of each (account, action) that has none of its own.
    pub quota: Quota,
    pub quotas: BTreeMap<String, Quota>,
    /// The answer when the quota is used up.
    pub throttle: Refusal,
    /// Time the server works on a call after it was counted and before it is executed.
    pub processing_ms: u64,
    /// Added to it for each call: uniform in 0..=this.
    pub processing_jitter_ms: u64,
    /// Lateness of arrival: uniform in 0..=this, between receiving and counting.
    pub jitter_ms: u64,
    /// Seed of the lateness; a change restarts the stream.
    pub jitter_seed: u64,
    /// Moves the gateway's wall clock: timestamp check and `Date` header.
    pub clock_offset_ms: i64,
    /// How long after a verification the status read still answers NOT_VERIFIED.
    pub read_lag_ms: u64,
    /// A number of which this many wrong codes were executed is locked; null: never.
    pub lock_after: Option<u32>,
    /// Life of a code made by `GetMigrationVerifyCode`.
    pub code_lifetime_ms: u64,
    /// The answer for a number that the simulator does not know.
    pub unknown_number: UnknownNumber,
    /// The answer of `ChatappMigrationVerified` for a number that is already verified.
    pub already_verified: AlreadyVerified,
    pub refusals: Refusals,
    pub replies: Replies,
    /// Per account: RAM, subscription, risk control.
    pub accounts: BTreeMap<String, AccountSettings>,
    /// Keep connections open between requests.
    pub keep_alive: bool,
    /// Close a connection that was idle this long, without a word; null: never.
    pub idle_timeout_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timestamp_past_ms: Some(15 * 60_000),
            timestamp_future_ms: Some(15 * 60_000),
            nonce_retention_ms: 31 * 60_000,
            nonce_scope: NonceScope::Account,
            checks: Check::DEFAULT_ORDER.to_vec(),
            quota: Quota::default(),
            quotas: BTreeMap::new(),
            throttle: Refusal::new(
                400,
                "Throttling.User",
                "Request was denied due to user flow control.",
            ),
            processing_ms: 0,
            processing_jitter_ms: 0,
            jitter_ms: 0,
            jitter_seed: 1,
            clock_offset_ms: 0,
            read_lag_ms: 0,
            lock_after: None,
            code_lifetime_ms: 10 * 60_000,
            unknown_number: UnknownNumber::Refuse,
            already_verified: AlreadyVerified::Refuse,
            refusals: Refusals::default(),
            replies: Replies::default(),
            accounts: BTreeMap::new(),
            keep_alive: true,
            idle_timeout_ms: None,
        }
    }
}

impl Settings {
    /// The quota that holds for an action.
    pub fn quota_of(&self, action: &str) -> Quota {
        let of_sts = STS_ACTIONS.iter().any(|(name, _)| *name == action);
        let default = if of_sts {
            Quota::rolling(STS_QPS)
        } else {
            self.quota
        };
        self.quotas.get(action).copied().unwrap_or(default)
    }

    /// `None`, or why these settings cannot be used.
    pub fn fault(&self) -> Option<&'static str> {
        let first = self.checks.first();
        let mut checks = self.checks.iter();
        let repeated = std::iter::from_fn(|| checks.next().map(|check| (check, checks.clone())))
            .any(|(check, mut rest)| rest.any(|other| other == check));
        if first != Some(&Check::AccessKey) {
            Some("settings.checks has to begin with accessKey: the other checks need the account")
        } else if repeated {
            Some("settings.checks names a check twice")
        } else {
            None
        }
    }
}

/// A check of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// The key exists, is active, and its security token is right.
    AccessKey,
    /// The signature, v1 or V3.
    Signature,
    /// Timestamp (V3: x-acs-date) inside the window.
    Timestamp,
    /// The nonce is new; this is also where it is remembered.
    Nonce,
    /// Product version and action exist, and its required parameters are there.
    Api,
    /// The quota of (account, action); this is where an arrival is admitted.
    Quota,
    /// Subscription, RAM and risk control.
    Permission,
}

impl Check {
    /// Undocumented in reality; the order in which the error tables make most sense.
    pub const DEFAULT_ORDER: [Self; 7] = [
        Self::AccessKey,
        Self::Signature,
        Self::Timestamp,
        Self::Nonce,
        Self::Api,
        Self::Quota,
        Self::Permission,
    ];
}

/// Where a nonce must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NonceScope {
    /// Over all keys of an account.
    Account,
    /// Per AccessKeyId.
    Key,
    /// Over everything.
    Global,
}

/// How many calls are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Quota {
    /// Calls per window; 0: unlimited.
    pub limit: u32,
    /// How the window moves.
    pub kind: QuotaKind,
    /// Length of the window, 1 s.
    pub window_ms: u64,
    /// Rolling and fixed windows: refused calls use up the window as well.
    pub count_throttled: bool,
}

impl Default for Quota {
    fn default() -> Self {
        Self::rolling(10)
    }
}

impl Quota {
    /// `limit` calls in any closed window of one second.
    pub fn rolling(limit: u32) -> Self {
        Self {
            limit,
            kind: QuotaKind::Rolling,
            window_ms: 1000,
            count_throttled: false,
        }
    }

    pub fn unlimited() -> Self {
        Self::rolling(0)
    }

    /// The same limit with another kind of window.
    pub fn of_kind(mut self, kind: QuotaKind) -> Self {
        self.kind = kind;
        self
    }
}

/// How the window of a quota moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaKind {
    /// No closed window `[t, t + window]` ever holds more than `limit` admitted calls: two
    /// calls exactly one window apart still count together.
    Rolling,
    /// Windows `[k * window, (k + 1) * window)` since the start of the simulator.
    Fixed,
    /// A bucket of `limit` tokens, full at the start, refilled evenly by `limit` per window.
    Bucket,
}

/// A refusal, as (HTTP status, Code, Message).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    #[serde(default)]
    pub message: String,
    /// Header `x-acs-retry-after`, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal without `x-acs-retry-after`.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// The same with `x-acs-retry-after`.
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// The answer for a number that the simulator does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownNumber {
    /// `refusals.unknownNumber`.
    Refuse,
    /// It is in migration and any code is right; its Id is made from its digits.
    AcceptAnyCode,
}

/// The answer of `ChatappMigrationVerified` for a number that is already verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlreadyVerified {
    /// `refusals.alreadyVerified`.
    Refuse,
    /// OK with its Id, whatever the code.
    Accept,
}

/// Business refusals. Only `unknownNumber` and `wrongSpace` use codes from the CAMS
/// documentation; the others are invented, since no real one is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Refusals {
    /// The code is not the one that was sent.
    pub wrong_code: Refusal,
    /// The right code, too late.
    pub code_expired: Refusal,
    /// Too many wrong codes.
    pub locked: Refusal,
    /// The number is verified already.
    pub already_verified: Refusal,
    /// No migration was begun, or no code was asked for.
    pub not_in_migration: Refusal,
    /// The number is not known.
    pub unknown_number: Refusal,
    /// The number belongs to another CustSpaceId.
    pub wrong_space: Refusal,
    /// Register before the number is verified.
    pub not_verified: Refusal,
}

impl Default for Refusals {
    fn default() -> Self {
        let ok_status = |code, message| Refusal::new(200, code, message);
        Self {
            wrong_code: ok_status("VerifyCode.Mismatch", "The verification code is wrong."),
            code_expired: ok_status("VerifyCode.Expired", "The verification code has expired."),
            locked: ok_status("VerifyCode.TooManyAttempts", "Too many wrong codes."),
            already_verified: ok_status("PhoneNumber.AlreadyVerified", "Already verified."),
            not_in_migration: ok_status("PhoneNumber.NotInMigration", "Not in migration."),
            unknown_number: ok_status(
                "InvalidParameter.PhoneNumberError",
                "The phone number is invalid or abnormal.",
            ),
            wrong_space: ok_status("Authentication.NoAuth", "No permission for this number."),
            not_verified: ok_status("PhoneNumber.NotVerified", "Verify the number first."),
        }
    }
}

/// Shape of successful replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Replies {
    /// `Data.PhoneNumber` ends in `****`.
    pub mask_phone: bool,
    /// No `Data.PhoneNumber`.
    pub omit_phone: bool,
    /// No `Data.Id`.
    pub omit_id: bool,
    pub omit_data: bool,
}

/// The permissions of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AccountSettings {
    /// `Product.Unsubscript`.
    pub unsubscribed: bool,
    /// `Forbidden.RiskControl`.
    pub risk_control: bool,
    /// Refused actions; `*` stands for all.
    pub denied: BTreeMap<String, Refusal>,
}

impl AccountSettings {
    /// The documented answer of RAM for a denied action.
    pub fn ram_denial() -> Refusal {
        Refusal::new(
            400,
            "Ram.PermissionDeny",
            "The user has no permission for this operation.",
        )
    }
}
