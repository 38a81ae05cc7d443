//! The start-up configuration of the simulator: addresses, keys, settings, numbers. PURE.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::numbers::Number;
use crate::settings::Settings;

/// Everything `Simulator::start` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the gateway; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the admin interface; loopback only. Port 0 takes a free one.
    pub admin: SocketAddr,
    /// The AccessKeys that exist.
    pub keys: Vec<AccessKey>,
    /// Behaviour; can be changed while running.
    pub settings: Settings,
    /// Numbers known at the start.
    pub numbers: Vec<Number>,
}

impl Default for Config {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any_port,
            admin: any_port,
            keys: Vec::new(),
            settings: Settings::default(),
            numbers: Vec::new(),
        }
    }
}

impl Config {
    /// Free loopback ports, one key, defaults otherwise.
    pub fn with_key(key: AccessKey) -> Self {
        Self {
            keys: vec![key],
            ..Self::default()
        }
    }
}

/// An AccessKey (or STS credential) of an account.
///
/// Has no `Debug` of its secret and no `Serialize`; the admin interface takes keys and never
/// gives them.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
    /// Keys of one account share its quota and, by default, its nonces. Empty: the key's id.
    #[serde(default)]
    pub account: String,
    /// With STS: the token every request must carry.
    #[serde(default)]
    pub token: Option<String>,
    /// The state of the key at the gateway.
    #[serde(default)]
    pub state: KeyState,
    /// With STS: end of the key, by the gateway's clock.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// With STS: all permissions of the key, such as `cams:ChatappMigrationVerified`. Null:
    /// everything.
    #[serde(default)]
    pub allowed: Option<Vec<String>>,
    /// With STS: ARN of the role that the key belongs to.
    #[serde(default)]
    pub role: Option<String>,
    /// With STS: ARN of the role's session.
    #[serde(default)]
    pub principal: Option<String>,
}

impl AccessKey {
    /// An active key whose account has the key's id as its name.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            account: id.clone(),
            id,
            secret: secret.into(),
            token: None,
            state: KeyState::Active,
            expires_at: None,
            allowed: None,
            role: None,
            principal: None,
        }
    }

    /// The same key as an STS credential with this token.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same key in the named account.
    pub fn in_account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// The account's name: the key's id unless one was given.
    pub fn account(&self) -> &str {
        if self.account.is_empty() {
            &self.id
        } else {
            &self.account
        }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("account", &self.account())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl FromStr for AccessKey {
    type Err = &'static str;

    /// Reads `ID:SECRET` or `ID:SECRET:TOKEN`. The error never repeats the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), token) if !id.is_empty() && !secret.is_empty() => {
                let key = Self::new(id, secret);
                Ok(match token {
                    Some(token) if !token.is_empty() => key.with_token(token),
                    Some(_) | None => key,
                })
            }
            _ => Err("an account is given as ID:SECRET or ID:SECRET:TOKEN"),
        }
    }
}

/// The state of a key at the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyState {
    /// Good.
    #[default]
    Active,
    /// `InvalidAccessKeyId.Inactive`.
    Inactive,
    /// `Forbidden.AccessKeyDisabled`.
    Disabled,
    /// `InvalidSecurityToken.Expired`, for STS credentials.
    TokenExpired,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_account_is_read_and_never_shown() {
        let key: AccessKey = "STS.id:s3cr3t:CAIS/a:b==".parse().unwrap();
        assert_eq!((key.id.as_str(), key.account()), ("STS.id", "STS.id"));
        assert_eq!(key.token.as_deref(), Some("CAIS/a:b=="));
        assert!(!format!("{key:?}").contains("s3cr3t"));
        assert!(!format!("{key:?}").contains("CAIS"));
        for bad in ["", "id", "id:", ":secret"] {
            assert!(bad.parse::<AccessKey>().is_err(), "{bad}");
        }
    }
}
