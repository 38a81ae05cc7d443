//! Checks the tokens of a cluster as a relying party does: signature, issuer, audience, times.
//! PURE.
//!
//! Limits: ES256 only: the tests' control planes sign with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not a token, or not signed by a key of the set.
    Invalid,
    /// Of another issuer.
    Issuer,
    /// For another audience.
    Audience,
    /// No longer good.
    Expired,
}

/// The claims of a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`.
    pub subject: String,
    /// `iss`.
    pub issuer: String,
    /// `exp`.
    pub expires: Timestamp,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: i64,
    nbf: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Checks a token against a set of keys (RFC 7517), an issuer and the audiences that count.
/// The error is the first flaw, in the order of its kinds.
pub fn verify(
    token: &str,
    keys: &Value,
    issuer: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Claims, Flaw> {
    let payload = signed(token, keys).ok_or(Flaw::Invalid)?;
    if payload.iss != issuer {
        return Err(Flaw::Issuer);
    }
    let has = match &payload.aud {
        OneOrMany::One(one) => audiences.contains(one),
        OneOrMany::Many(many) => many.iter().any(|one| audiences.contains(one)),
    };
    if !has {
        return Err(Flaw::Audience);
    }
    let seconds = now.as_second();
    // As usual, a minute of difference between the clocks is not an error.
    if payload.exp < seconds || payload.nbf.is_some_and(|from| from > seconds + 60) {
        return Err(Flaw::Expired);
    }
    Ok(Claims {
        subject: payload.sub,
        issuer: payload.iss,
        expires: Timestamp::from_second(payload.exp).map_err(|_| Flaw::Invalid)?,
    })
}

fn signed(token: &str, keys: &Value) -> Option<Payload> {
    let (text, signature) = token.rsplit_once('.')?;
    let (header, payload) = text.split_once('.')?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Header = serde_json::from_slice(&bytes(header)?).ok()?;
    let key = keys["keys"]
        .as_array()?
        .iter()
        .find(|key| key["kid"] == header.kid.as_str() && key["crv"] == "P-256")?;
    if header.alg != "ES256" {
        return None;
    }
    let mut point = vec![4];
    point.extend(bytes(key["x"].as_str()?)?);
    point.extend(bytes(key["y"].as_str()?)?);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(text.as_bytes(), &bytes(signature)?)
        .ok()?;
    serde_json::from_slice(&bytes(payload)?).ok()
}
