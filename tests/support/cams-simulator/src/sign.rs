//! The two signatures the gateway checks: RPC v1 (HMAC-SHA1) and V3 (ACS3-HMAC-SHA256).
//! PURE. Pinned by the vectors at the root of the tree (`tests/vectors`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::encoding::{hex, percent_encode};

/// The name of V3, as it stands in the `Authorization` header and the string to sign.
pub const ACS3: &str = "ACS3-HMAC-SHA256";

/// RPC v1: `METHOD&%2F&` and the encoded canonicalized query, of all parameters from query
/// and form body except `Signature`, sorted by raw name in byte order.
pub fn rpc_string_to_sign(method: &str, params: &[(String, String)]) -> String {
    let query = canonical_query(params.iter().filter(|(name, _)| name != "Signature"));
    format!("{method}&%2F&{}", percent_encode(&query))
}

/// RPC v1: base64 of HMAC-SHA1, keyed with the secret followed by `&`.
pub fn rpc_signature(secret: &str, string_to_sign: &str) -> String {
    // HMAC takes a key of any length; the error cannot happen.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()) else {
        return String::new();
    };
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// `name=value` pairs, encoded and joined by `&`, sorted by raw name, then raw value.
pub fn canonical_query<'a>(params: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut sorted: Vec<_> = params.collect();
    sorted.sort();
    let pairs: Vec<_> = sorted
        .into_iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.join("&")
}

/// V3: the canonical request.
///
/// `headers` are the signed ones, as (lower-case name, value); they are sorted here.
pub fn acs3_canonical_request(
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &[(String, String)],
    body: &[u8],
) -> String {
    let mut headers = headers.to_vec();
    headers.sort();
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "{method}\n{path}\n{}\n{lines}\n{}\n{}",
        canonical_query(query.iter()),
        names.join(";"),
        hex(&Sha256::digest(body))
    )
}

/// V3: the algorithm's name and the hash of the canonical request.
pub fn acs3_string_to_sign(canonical_request: &str) -> String {
    format!(
        "{ACS3}\n{}",
        hex(&Sha256::digest(canonical_request.as_bytes()))
    )
}

/// V3: hex of HMAC-SHA256, keyed with the bare secret.
pub fn acs3_signature(secret: &str, string_to_sign: &str) -> String {
    // HMAC takes a key of any length; the error cannot happen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}
