//! The bytes of the protocol: percent encoding and the reply. PURE.
//!
//! Parsing is tolerant where the API is known to vary (key case, numbers for strings, missing
//! `Data`, unknown fields) and strict about the one thing that matters: a body without a
//! usable `Code`, or one that contradicts itself, is not the API speaking, and such a reply
//! decides nothing.
//!
//! Limits: a body over [`MAX_BODY`] is not read; JSON nested deeper than 128 is refused by the
//! parser, so it cannot exhaust the stack.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

mod json;

use json::Consistent;

/// Largest reply body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Longest pause a server may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Longest `Code` that is taken for one of the API's.
const MAX_CODE: usize = 128;

/// Longest id that is recorded (the schema's `maxLength`).
const MAX_ID: usize = 64;

/// Percent-encodes as the signature asks: `A-Z a-z 0-9 - _ . ~` stay, every other byte of the
/// UTF-8 form is `%XX` in upper case.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            let at = out.len();
            push_hex(&mut out, byte);
            if let Some(hex) = out.get_mut(at..) {
                hex.make_ascii_uppercase();
            }
        }
    }
    out
}

/// Appends a byte as two lower-case hex digits.
pub fn push_hex(out: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 0x0f] {
        out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
    }
}

/// A complete HTTP reply. No `Debug`: the message may echo the signed string.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The server's clock when it answered (header `Date`, whole seconds).
    pub date: Option<Timestamp>,
    /// `x-acs-retry-after`, at most [`MAX_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
    /// The body, when it has the API's shape.
    pub api: Option<ApiBody>,
}

/// A body in the API's own shape. Every text is as received, unscrubbed, except that `id`
/// holds an id that can be recorded or nothing.
pub struct ApiBody {
    /// Absent when missing or not made of `[A-Za-z0-9-]{1,64}`.
    pub request_id: Option<String>,
    /// `[A-Za-z0-9._:-]{1,128}`.
    pub code: String,
    /// Free text; may repeat every signed parameter.
    pub message: Option<String>,
    /// `Data.PhoneNumber`.
    pub phone_number: Option<String>,
    /// `Data.Id`; absent when it is longer than 64 characters or not printable ASCII: the
    /// outcome stands without it, and the Id is read again later.
    pub id: Option<String>,
    /// `Data.CodeVerificationStatus`, an open string.
    pub code_verification_status: Option<String>,
}

/// The header values of a reply that mean something to us, as received.
#[derive(Default)]
pub struct ReplyHeaders<'a> {
    /// `Date`.
    pub date: Option<&'a str>,
    /// `x-acs-retry-after`.
    pub retry_after: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
}

/// Puts a reply together.
pub fn parse_reply(status: u16, headers: &ReplyHeaders<'_>, body: &[u8]) -> Reply {
    let markup = headers.content_type.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("html") || value.contains("xml")
    });
    Reply {
        status,
        date: headers.date.and_then(parse_http_date),
        retry_after: headers.retry_after.and_then(parse_retry_after),
        api: if markup { None } else { parse_body(body) },
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
    // Too many digits for u64 is a very long pause, not garbage.
    let asked = Duration::from_millis(value.parse().unwrap_or(u64::MAX));
    (!asked.is_zero()).then(|| asked.min(MAX_RETRY_AFTER))
}

/// Reads a body, or nothing if it is not in the API's shape.
pub fn parse_body(body: &[u8]) -> Option<ApiBody> {
    if body.len() > MAX_BODY {
        return None;
    }
    // A message in another character set must not turn a refusal into a doubt.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    let Ok(Consistent(Value::Object(body))) = serde_json::from_str(text) else {
        return None;
    };
    let empty = Map::new();
    let data = match field(&body, "Data", "data").ok()? {
        Some(Value::Object(data)) => data,
        // Missing, null, or another operation's string: no data.
        Some(_) | None => &empty,
    };
    let request_id = text_field(&body, "RequestId", "requestId")
        .ok()?
        .filter(|id| is_made_of(id, 64, |b| b.is_ascii_alphanumeric() || b == b'-'));
    let code = text_field(&body, "Code", "code").ok()?.filter(|code| {
        is_made_of(code, MAX_CODE, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-')
        })
    })?;
    // `{"code":502}` is how proxies and firewalls speak. The API's own codes are words; a
    // number is believed only beside the request id, which the gateway always gives.
    if request_id.is_none() && !code.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    Some(ApiBody {
        request_id,
        code,
        message: text_field(&body, "Message", "message").ok()?,
        phone_number: text_field(data, "PhoneNumber", "phoneNumber").ok()?,
        id: text_field(data, "Id", "id")
            .ok()?
            .filter(|id| is_made_of(id, MAX_ID, |b| b.is_ascii_graphic())),
        code_verification_status: text_field(
            data,
            "CodeVerificationStatus",
            "codeVerificationStatus",
        )
        .ok()?,
    })
}

/// The field was given twice, in both spellings, with different values.
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

/// A text, or a whole number in its place; any other type counts as absent. (A number that
/// needs a float has lost digits already: a wrong Id would be worse than none.)
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
