//! The bytes of the protocol: percent encoding and the reply. PURE.
//!
//! Parsing is tolerant where the API varies (key case, numbers for strings, missing `Data`, unknown
//! fields) and strict about one thing: a body without a usable `Code`, or one that contradicts
//! itself, does not come from the API, and such a reply decides nothing. The parser also reads
//! errors as XML, but never a success.
//!
//! Limits: the parser does not read a body over [`MAX_BODY`]. It refuses JSON nested deeper than
//! 128, so a reply cannot exhaust the stack.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

mod json;
mod xml;

use crate::api::bounds::MAX_IDENTIFIER;
use json::Consistent;

/// Largest reply body that the operator reads, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Longest pause that the operator accepts from the server.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Percent-encodes as the signature requires: `A-Z a-z 0-9 - _ . ~` stay, every other byte of the
/// UTF-8 form becomes `%XX` in upper case.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A complete HTTP reply. Without `Debug`: the message may repeat the signed string.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The server's clock when it answered (header `Date`, whole seconds).
    pub date: Option<Timestamp>,
    /// `x-acs-retry-after`, at most [`MAX_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
    /// The body, if it has the API's shape.
    pub api: Option<ApiBody>,
}

/// A body in the API's own shape. Every text is as received, unscrubbed; `id` is absent unless the
/// operator can record it.
pub struct ApiBody {
    /// Absent when missing or not made of `[A-Za-z0-9-]{1,64}`.
    pub request_id: Option<String>,
    /// `[A-Za-z0-9._:-]{1,128}`.
    pub code: String,
    /// Free text; may repeat every signed parameter.
    pub message: Option<String>,
    /// `Data.PhoneNumber`.
    pub phone_number: Option<String>,
    /// `Data.Id`; absent when it is longer than 128 characters or not printable ASCII. The outcome
    /// counts without it, and the operator reads the Id again later.
    pub id: Option<String>,
    /// `Data.CodeVerificationStatus`, an open string.
    pub code_verification_status: Option<String>,
}

/// The header values of a reply that the operator uses, as received.
#[derive(Default)]
pub struct ReplyHeaders<'a> {
    /// `Date`.
    pub date: Option<&'a str>,
    /// `x-acs-retry-after`.
    pub retry_after: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
}

/// Builds a reply from its parts.
pub fn parse_reply(status: u16, headers: &ReplyHeaders<'_>, body: &[u8]) -> Reply {
    let says = |kind: &str| {
        let value = headers.content_type.unwrap_or_default();
        value.to_ascii_lowercase().contains(kind)
    };
    let api = match (says("html"), says("xml")) {
        (true, _) => None,
        (false, true) => parse_xml(body),
        (false, false) => parse_body(body),
    };
    Reply {
        status,
        date: headers.date.and_then(parse_http_date),
        retry_after: headers.retry_after.and_then(parse_retry_after),
        api,
    }
}

/// Reads an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub fn parse_http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value.trim())
        .ok()
}

/// Reads `x-acs-retry-after`: positive whole milliseconds, capped.
pub fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Too many digits for u64 mean a very long pause, not garbage.
    let asked = Duration::from_millis(value.parse().unwrap_or(u64::MAX));
    (!asked.is_zero()).then(|| asked.min(MAX_RETRY_AFTER))
}

/// Reads a body without a declared type; `None` if it is not in the API's shape.
pub fn parse_body(body: &[u8]) -> Option<ApiBody> {
    let text = text_of(body)?;
    match serde_json::from_str(&text) {
        Ok(Consistent(Value::Object(members))) => api_body(&members),
        Ok(Consistent(_)) => None,
        Err(_) => api_error(&text),
    }
}

fn parse_xml(body: &[u8]) -> Option<ApiBody> {
    api_error(&text_of(body)?)
}

/// `None` for a body that is too long to read.
fn text_of(body: &[u8]) -> Option<String> {
    if body.len() > MAX_BODY {
        return None;
    }
    // A message in another character set must not turn a refusal into an unknown outcome.
    let text = String::from_utf8_lossy(body);
    Some(text.trim_start_matches('\u{feff}').to_owned())
}

/// An error as XML. Storage services and proxies also answer in this shape: only the gateway's own
/// request id proves that this API answered. It carries no success.
fn api_error(text: &str) -> Option<ApiBody> {
    let body = api_body(&xml::error_members(text)?)?;
    (body.request_id.is_some() && !body.code.eq_ignore_ascii_case("OK")).then_some(body)
}

fn api_body(body: &Map<String, Value>) -> Option<ApiBody> {
    let empty = Map::new();
    let data = match field(body, "Data", "data").ok()? {
        Some(Value::Object(data)) => data,
        // Missing, null, or another operation's string: no data.
        Some(_) | None => &empty,
    };
    let request_id = text_field(body, "RequestId", "requestId")
        .ok()?
        .filter(|id| is_made_of(id, 64, |b| b.is_ascii_alphanumeric() || b == b'-'));
    let code = text_field(body, "Code", "code").ok()?.filter(|code| {
        is_made_of(code, MAX_IDENTIFIER, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-')
        })
    })?;
    // Proxies and firewalls answer `{"code":502}`. The API's own codes are words; a number counts
    // only with the request id, which the gateway always gives.
    if request_id.is_none() && !code.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    Some(ApiBody {
        request_id,
        code,
        message: text_field(body, "Message", "message").ok()?,
        phone_number: text_field(data, "PhoneNumber", "phoneNumber").ok()?,
        id: text_field(data, "Id", "id")
            .ok()?
            .filter(|id| is_made_of(id, MAX_IDENTIFIER, |b| b.is_ascii_graphic())),
        code_verification_status: text_field(
            data,
            "CodeVerificationStatus",
            "codeVerificationStatus",
        )
        .ok()?,
    })
}

/// The field exists in both spellings, with different values.
struct Contradiction;

fn field<'a>(
    map: &'a Map<String, Value>,
    name: &str,
    twin: &str,
) -> Result<Option<&'a Value>, Contradiction> {
    match (map.get(name), map.get(twin)) {
        (Some(a), Some(b)) if a != b => Err(Contradiction),
        (Some(value), _) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => Ok(None),
    }
}

/// A text, or a whole number in its place; any other type counts as absent. (A number that needs a
/// float has already lost digits: a wrong Id would be worse than none.)
fn text_field(
    map: &Map<String, Value>,
    name: &str,
    twin: &str,
) -> Result<Option<String>, Contradiction> {
    Ok(match field(map, name, twin)? {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
        Some(Value::Number(_)) => None,
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    })
}

fn is_made_of(text: &str, max: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
