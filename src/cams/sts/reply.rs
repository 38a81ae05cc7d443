//! The replies of STS. PURE.
//!
//! Strict about keys: a reply without a complete key and its end counts as no key. Of an error only
//! `Code` and `Message` count, in the shape that all gateways of Alibaba Cloud use.

use jiff::Timestamp;
use serde::Deserialize;

use crate::cams::credentials::Credentials;
use crate::cams::wire::parse_body;
use crate::secret::Secret;

/// Longest name of a principal or account that is accepted.
const MAX_NAME: usize = 256;

/// A key that STS gave.
pub struct Issued {
    /// The key.
    pub credentials: Credentials,
    /// When it ends, by the clock of STS.
    pub expires: Timestamp,
    /// The clock of STS when it gave the key.
    pub now: Timestamp,
    /// The principal of the key, as STS names it.
    pub principal: Option<String>,
}

/// The identity of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Identifier of the account.
    pub account_id: String,
    /// ARN of the user or of the role's session.
    pub arn: String,
}

/// A reply without the requested data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// STS refused. Both texts are as received; the code consists of `[A-Za-z0-9._:-]` only.
    Refused {
        /// `Code`.
        code: String,
        /// `Message`.
        message: Option<String>,
    },
    /// Not in the shape of STS.
    NotTheApi,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IssuedBody {
    credentials: KeyBody,
    assumed_role_user: Option<Principal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyBody {
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Principal {
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IdentityBody {
    account_id: String,
    arn: String,
}

/// Reads a key. `now` is the time of STS's clock.
///
/// # Errors
/// If the reply holds no complete key.
pub fn issued(status: u16, body: &[u8], now: Timestamp) -> Result<Issued, Failure> {
    if status != 200 {
        return Err(failure(body));
    }
    let Ok(parsed) = serde_json::from_slice::<IssuedBody>(body) else {
        return Err(failure(body));
    };
    let principal = parsed.assumed_role_user.and_then(|user| name(user.arn));
    whole(parsed.credentials, now, principal).ok_or(Failure::NotTheApi)
}

/// A key with nothing missing.
fn whole(key: KeyBody, now: Timestamp, principal: Option<String>) -> Option<Issued> {
    // Moves each string whole, so that no copy stays behind.
    let (secret, token) = (
        Secret::new(key.access_key_secret),
        Secret::new(key.security_token),
    );
    let expires = key.expiration.parse().ok()?;
    let usable = [key.access_key_id.as_str(), secret.expose(), token.expose()]
        .iter()
        .all(|text| is_visible(text));
    usable.then_some(Issued {
        credentials: Credentials {
            access_key_id: key.access_key_id,
            access_key_secret: secret,
            security_token: Some(token),
        },
        expires,
        now,
        principal,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceBody {
    code: String,
    #[serde(flatten)]
    key: KeyBody,
}

/// Reads the key that an instance's metadata service gives; `None` if it is not complete.
pub fn of_instance(body: &[u8], now: Timestamp) -> Option<Issued> {
    let InstanceBody { code, key } = serde_json::from_slice(body).ok()?;
    (code == "Success").then_some(())?;
    whole(key, now, None)
}

/// Reads the identity of a key.
///
/// # Errors
/// If the reply does not hold it.
pub fn identity(status: u16, body: &[u8]) -> Result<CallerIdentity, Failure> {
    let parsed = serde_json::from_slice::<IdentityBody>(body).ok();
    let named = parsed.and_then(|body| Some((name(body.account_id)?, name(body.arn)?)));
    match named {
        Some((account_id, arn)) if status == 200 => Ok(CallerIdentity { account_id, arn }),
        Some(_) | None => Err(failure(body)),
    }
}

fn failure(body: &[u8]) -> Failure {
    match parse_body(body) {
        Some(body) => Failure::Refused {
            code: body.code,
            message: body.message,
        },
        None => Failure::NotTheApi,
    }
}

fn name(text: String) -> Option<String> {
    (text.len() <= MAX_NAME && is_visible(&text)).then_some(text)
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use serde_json::{Value, json};

    use super::*;

    fn key() -> Value {
        json!({
            "RequestId": "964E0EC5-575B-4FF5-8FD0-D4BD8025602A",
            "AssumedRoleUser": {
                "Arn": "acs:ram::1968132000234567:assumed-role/phmig/phone-migration-operator",
                "AssumedRoleId": "33157794895460****:phone-migration-operator",
            },
            "Credentials": {
                "AccessKeyId": "STS.L4aBSCSJVMuKg5U1****",
                "AccessKeySecret": "wyLTSmsyPGP1ohvvw8xYgB29dlGI8KMiH2pK****",
                "SecurityToken": "CAIShwJ1q6Ft5B2yfSjI****",
                "Expiration": "2015-04-09T11:52:19Z",
            },
        })
    }

    fn read(status: u16, body: &Value) -> Result<Issued, Failure> {
        issued(status, body.to_string().as_bytes(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_key_is_read_whole_or_not_at_all() {
        let issued = read(200, &key()).ok().unwrap();
        assert_eq!(issued.credentials.access_key_id, "STS.L4aBSCSJVMuKg5U1****");
        assert_eq!(issued.expires, "2015-04-09T11:52:19Z".parse().unwrap());
        assert!(
            issued
                .principal
                .unwrap()
                .ends_with("/phone-migration-operator")
        );
        for name in [
            "AccessKeyId",
            "AccessKeySecret",
            "SecurityToken",
            "Expiration",
        ] {
            for bad in [Value::Null, json!(""), json!("a b\n"), json!(7)] {
                let mut reply = key();
                reply["Credentials"][name] = bad;
                assert_eq!(read(200, &reply).err(), Some(Failure::NotTheApi), "{name}");
            }
        }
        // A long token is a valid token.
        let mut reply = key();
        reply["Credentials"]["SecurityToken"] = json!("x".repeat(30_000));
        assert!(read(200, &reply).is_ok());
        reply["AssumedRoleUser"] = Value::Null;
        assert_eq!(read(200, &reply).ok().unwrap().principal, None);
        // Only with HTTP 200.
        assert_eq!(read(500, &key()).err(), Some(Failure::NotTheApi));
    }

    #[test]
    fn the_key_of_an_instance_is_read_when_the_service_says_success() {
        let mut reply = key()["Credentials"].clone();
        let read = |reply: &Value| of_instance(reply.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
        assert!(read(&reply).is_none());
        reply["Code"] = json!("Success");
        reply["LastUpdated"] = json!("2015-04-09T05:52:19Z");
        let issued = read(&reply).unwrap();
        assert_eq!(issued.credentials.access_key_id, "STS.L4aBSCSJVMuKg5U1****");
        reply["Code"] = json!("Failed");
        assert!(read(&reply).is_none());
    }

    #[test]
    fn an_error_is_its_code_and_message() {
        let reply = json!({
            "RequestId": "A-1", "HostId": "sts.aliyuncs.com",
            "Code": "EntityNotExist.Role", "Message": "The specified Role not exists.",
        });
        let refused = Failure::Refused {
            code: "EntityNotExist.Role".to_owned(),
            message: Some("The specified Role not exists.".to_owned()),
        };
        assert_eq!(read(404, &reply).err(), Some(refused.clone()));
        assert_eq!(read(200, &reply).err(), Some(refused.clone()));
        assert_eq!(identity(404, reply.to_string().as_bytes()), Err(refused));
        for foreign in ["", "<html>", "{}", "[]", "null"] {
            let read = issued(502, foreign.as_bytes(), Timestamp::UNIX_EPOCH);
            assert_eq!(read.err(), Some(Failure::NotTheApi), "{foreign}");
        }
    }

    #[test]
    fn an_identity_is_an_account_and_a_principal() {
        let reply = json!({
            "IdentityType": "AssumedRoleUser", "AccountId": "1968132000234567",
            "Arn": "acs:ram::1968132000234567:assumed-role/phmig/me", "RequestId": "A-1",
        });
        let found = identity(200, reply.to_string().as_bytes()).unwrap();
        assert_eq!(found.account_id, "1968132000234567");
        assert_eq!(found.arn, "acs:ram::1968132000234567:assumed-role/phmig/me");
        let text = reply.to_string();
        assert_eq!(identity(500, text.as_bytes()), Err(Failure::NotTheApi));
        let mut hostile = reply.clone();
        hostile["Arn"] = json!("a\u{1b}[31m");
        assert_eq!(
            identity(200, hostile.to_string().as_bytes()),
            Err(Failure::NotTheApi)
        );
    }
}
