//! Signs a request: RPC v1 (HMAC-SHA1) and V3 (ACS3-HMAC-SHA256) behind one trait. PURE.
//!
//! As in the official SDKs: POST, everything in the URL's query, empty body. The caller passes in
//! time and nonce. A [`SignedRequest`] is frozen: it cannot be cloned, printed or signed again, and
//! the send consumes it, so one signature is at most one send.
//!
//! `tests/vectors` pins both algorithms.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::scrub::scrub_with_phone;
use super::wire::percent_encode;
use super::{Action, Target, VERSION};
use crate::clock::BootTime;
use crate::hex::hex;
use crate::secret::Secret;

/// The signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVersion {
    /// RPC v1: HMAC-SHA1, everything in the query.
    V1,
    /// ACS3-HMAC-SHA256: action, time, nonce and signature in headers.
    V3,
}

impl SignatureVersion {
    /// The implementation.
    pub fn signer(self) -> &'static dyn Signer {
        match self {
            Self::V1 => &RpcV1,
            Self::V3 => &Acs3,
        }
    }
}

/// The input of a signature.
pub struct Unsigned<'a> {
    /// The account's key.
    pub credentials: &'a Credentials,
    /// The `Host` header, as the client will send it.
    pub host: &'a str,
    /// The operation.
    pub action: Action,
    /// The number and its customer.
    pub target: Target<'a>,
    /// The code, for the operation that needs one.
    pub code: Option<&'a Secret>,
    /// 128 random bits in hex, new for every attempt.
    pub nonce: &'a str,
    /// Time of signing; its fraction of a second is dropped.
    pub timestamp: Timestamp,
}

impl Unsigned<'_> {
    /// The operation's own parameters, in the order of the official SDKs.
    fn params(&self) -> Vec<(&str, &str)> {
        let mut params = vec![
            ("CustSpaceId", self.target.cust_space_id),
            ("PhoneNumber", self.target.phone_number),
        ];
        if let Some(code) = self.code {
            params.push(("VerifyCode", code.expose()));
        }
        params
    }

    fn freeze(
        &self,
        query: String,
        headers: Vec<(&'static str, Secret)>,
        signature: &str,
    ) -> SignedRequest {
        let mut hidden = vec![
            Secret::new(signature.to_owned()),
            Secret::new(self.credentials.access_key_id.clone()),
            self.credentials.access_key_secret.clone(),
        ];
        hidden.extend(self.credentials.security_token.clone());
        hidden.extend(self.code.cloned());
        SignedRequest {
            query: Secret::new(query),
            headers,
            send_until: None,
            subject: Arc::new(Subject {
                phone_number: Secret::new(self.target.phone_number.to_owned()),
                hidden,
            }),
        }
    }
}

/// One signature algorithm.
pub trait Signer: Sync {
    /// Signs once.
    fn sign(&self, unsigned: &Unsigned<'_>) -> SignedRequest;
}

/// A POST to the endpoint's root with an empty body. Its texts are zeroised, and it can be neither
/// printed nor copied:
///
/// ```compile_fail
/// fn print(request: phone_migration_operator::cams::SignedRequest) -> String {
///     format!("{request:?}")
/// }
/// ```
/// ```compile_fail
/// fn twice(request: phone_migration_operator::cams::SignedRequest) -> [impl Sized; 2] {
///     [request.clone(), request]
/// }
/// ```
pub struct SignedRequest {
    /// The URL's query, without `?`.
    pub(super) query: Secret,
    /// Header names (lower case) and values, without `host`.
    pub(super) headers: Vec<(&'static str, Secret)>,
    /// From this time on the client does not send the request, since its key ends; `None` for a
    /// permanent key.
    pub(super) send_until: Option<BootTime>,
    pub(super) subject: Arc<Subject>,
}

impl SignedRequest {
    /// True if the use of its key has ended.
    pub(super) fn key_has_ended(&self, now: BootTime) -> bool {
        self.send_until.is_some_and(|until| until <= now)
    }

    /// Replaces a request when there is no key to sign it with: it is never sent.
    pub(super) fn without_key(target: Target<'_>) -> Self {
        Self {
            query: Secret::new(String::new()),
            headers: Vec::new(),
            send_until: Some(BootTime::ZERO),
            subject: Arc::new(Subject {
                phone_number: Secret::new(target.phone_number.to_owned()),
                hidden: Vec::new(),
            }),
        }
    }
}

/// The phone number of a request, and the secrets that a reply must not repeat: the code, the key,
/// the signature. Outlives the request, which the send consumes.
pub(super) struct Subject {
    pub(super) phone_number: Secret,
    hidden: Vec<Secret>,
}

impl Subject {
    /// Scrubs a text of the reply.
    pub(super) fn scrub(&self, text: &mut String) {
        let hidden: Vec<&str> = self.hidden.iter().map(Secret::expose).collect();
        *text = scrub_with_phone(text, &hidden, Some(self.phone_number.expose()));
    }

    /// As [`Subject::scrub`], for a text that may be absent.
    pub(super) fn scrub_option(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.scrub(text);
        }
    }
}

/// HMAC-SHA1 over method, path and the sorted query.
pub struct RpcV1;

impl Signer for RpcV1 {
    fn sign(&self, unsigned: &Unsigned<'_>) -> SignedRequest {
        let credentials = unsigned.credentials;
        let timestamp = whole_seconds(unsigned.timestamp);
        let mut params = vec![
            ("Action", unsigned.action.name()),
            ("Format", "JSON"),
            ("Version", VERSION),
            ("Timestamp", timestamp.as_str()),
            ("SignatureNonce", unsigned.nonce),
        ];
        params.extend(unsigned.params());
        let signature = sign_rpc(&mut params, &[], credentials);
        params.push(("Signature", signature.as_str()));
        let accept = ("accept", Secret::new("application/json".to_owned()));
        unsigned.freeze(query(&params), vec![accept], &signature)
    }
}

/// HMAC-SHA256 over a canonical request that includes the host.
pub struct Acs3;

impl Signer for Acs3 {
    fn sign(&self, unsigned: &Unsigned<'_>) -> SignedRequest {
        let credentials = unsigned.credentials;
        let timestamp = whole_seconds(unsigned.timestamp);
        let body_hash = sha256_hex(b"");
        let mut headers = vec![
            ("accept", "application/json"),
            ("x-acs-action", unsigned.action.name()),
            ("x-acs-content-sha256", body_hash.as_str()),
            ("x-acs-date", timestamp.as_str()),
            ("x-acs-signature-nonce", unsigned.nonce),
            ("x-acs-version", VERSION),
        ];
        if let Some(token) = &credentials.security_token {
            headers.push(("x-acs-accesskey-id", &credentials.access_key_id));
            headers.push(("x-acs-security-token", token.expose()));
        }
        let params = unsigned.params();
        let mut signed = headers.clone();
        signed.push(("host", unsigned.host));
        let canonical = canonical_request("POST", &params, &signed, &body_hash);
        let signature = acs3_signature(
            credentials.access_key_secret.expose(),
            &acs3_string_to_sign(&canonical),
        );
        let authorization = authorization(&credentials.access_key_id, &signed, &signature);
        let mut headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value.to_owned())))
            .collect();
        headers.push(("authorization", Secret::new(authorization)));
        unsigned.freeze(query(&params), headers, &signature)
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`.
pub(super) fn whole_seconds(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `name=value` pairs, encoded, joined by `&`, in the order given.
pub(super) fn query(params: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&percent_encode(name));
        out.push('=');
        out.push_str(&Zeroizing::new(percent_encode(value)));
    }
    out
}

/// As [`query`], but sorted by raw name in byte order.
fn canonical_query(params: &[(&str, &str)]) -> Zeroizing<String> {
    let mut sorted = params.to_vec();
    sorted.sort_unstable();
    Zeroizing::new(query(&sorted))
}

/// Adds the key's parameters to the query of a POST in RPC style; returns the signature of query and
/// form, which the caller adds as the last parameter.
pub(super) fn sign_rpc<'a>(
    params: &mut Vec<(&'a str, &'a str)>,
    form: &[(&str, &str)],
    credentials: &'a Credentials,
) -> Zeroizing<String> {
    params.extend([
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("AccessKeyId", credentials.access_key_id.as_str()),
    ]);
    if let Some(token) = &credentials.security_token {
        params.push(("SecurityToken", token.expose()));
    }
    let all: Vec<(&str, &str)> = params.iter().chain(form).copied().collect();
    let to_sign = rpc_string_to_sign("POST", &canonical_query(&all));
    rpc_signature(credentials.access_key_secret.expose(), &to_sign)
}

fn rpc_string_to_sign(method: &str, canonical_query: &str) -> Zeroizing<String> {
    let encoded = Zeroizing::new(percent_encode(canonical_query));
    Zeroizing::new(format!("{method}&%2F&{}", *encoded))
}

/// Base64 of HMAC-SHA1; the key is the secret followed by `&`.
fn rpc_signature(access_key_secret: &str, to_sign: &str) -> Zeroizing<String> {
    let key = Zeroizing::new(format!("{access_key_secret}&"));
    let mut block = Zeroizing::new([0u8; BLOCK]);
    if key.len() > BLOCK {
        fill(&mut block, &Sha1::digest(key.as_bytes()));
    } else {
        fill(&mut block, key.as_bytes());
    }
    let mut mac = Hmac::<Sha1>::new(&(*block).into());
    mac.update(to_sign.as_bytes());
    Zeroizing::new(BASE64.encode(mac.finalize().into_bytes()))
}

fn canonical_request(
    method: &str,
    params: &[(&str, &str)],
    headers: &[(&str, &str)],
    body_hash: &str,
) -> Zeroizing<String> {
    let mut lines = Zeroizing::new(String::new());
    let mut sorted = headers.to_vec();
    sorted.sort_unstable();
    for (name, value) in sorted {
        lines.push_str(name);
        lines.push(':');
        lines.push_str(value.trim());
        lines.push('\n');
    }
    Zeroizing::new(format!(
        "{method}\n/\n{}\n{}\n{}\n{body_hash}",
        *canonical_query(params),
        *lines,
        signed_names(headers),
    ))
}

fn signed_names(headers: &[(&str, &str)]) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.join(";")
}

fn acs3_string_to_sign(canonical_request: &str) -> String {
    format!(
        "ACS3-HMAC-SHA256\n{}",
        sha256_hex(canonical_request.as_bytes())
    )
}

/// Hex of HMAC-SHA256; the key is the bare secret.
fn acs3_signature(access_key_secret: &str, to_sign: &str) -> String {
    let mut block = Zeroizing::new([0u8; BLOCK]);
    if access_key_secret.len() > BLOCK {
        fill(&mut block, &Sha256::digest(access_key_secret.as_bytes()));
    } else {
        fill(&mut block, access_key_secret.as_bytes());
    }
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    mac.update(to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn authorization(access_key_id: &str, signed: &[(&str, &str)], signature: &str) -> String {
    format!(
        "ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={},Signature={signature}",
        signed_names(signed)
    )
}

/// Block size of SHA-1 and SHA-256: HMAC pads a shorter key with zeros and hashes a longer one.
/// This module does it itself, since the crate's constructor for any length returns an error that
/// cannot occur.
const BLOCK: usize = 64;

fn fill(block: &mut [u8; BLOCK], key: &[u8]) {
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
