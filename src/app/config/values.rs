//! Parsers of single values: each returns the value, or a line that says what to write instead.
//! PURE.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use crate::domain::code::CodeDigits;

pub(super) fn boolean(flag: &'static str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ConfigError::value(flag, value, "write true or false")),
    }
}

/// Digits only: no sign, no spaces.
pub(super) fn whole_number(
    flag: &'static str,
    value: &str,
    least: u32,
    most: u32,
) -> Result<u32, ConfigError> {
    let digits_only = value.bytes().all(|b| b.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|n| digits_only && (least..=most).contains(n))
        .ok_or_else(|| {
            let advice = format!("write a whole number from {least} to {most}");
            ConfigError::value(flag, value, advice)
        })
}

/// An http or https URL without user, query and fragment; an empty text means none. The message
/// does not repeat a value that may hold a password.
pub(super) fn collector(
    flag: &'static str,
    value: Option<String>,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let advice = "write a URL such as http://collector.observability:4318; headers for it, such as \
                  credentials, belong into OTEL_EXPORTER_OTLP_HEADERS";
    if value.contains(['@', '?', '#']) {
        return Err(ConfigError::value(flag, "(not shown)", advice));
    }
    let url = value.parse::<http::Uri>().ok();
    let fits = url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()
    });
    if !fits {
        return Err(ConfigError::value(flag, &value, advice));
    }
    Ok(Some(value.trim_end_matches('/').to_owned()))
}

/// Numbers with units, the largest unit first: `31m`, `90s`, `1h30m`. Never zero.
pub(super) fn duration(flag: &'static str, value: &str) -> Result<Duration, ConfigError> {
    seconds(value)
        .filter(|s| *s > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| {
            let advice = "write numbers with a unit h, m or s, such as 31m, 90s or 1h30m";
            ConfigError::value(flag, value, advice)
        })
}

fn seconds(value: &str) -> Option<u64> {
    let mut rest = value;
    let mut total: u64 = 0;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

/// One number, or the smallest and the largest joined by a dash.
pub(super) fn code_digits(flag: &'static str, value: &str) -> Result<CodeDigits, ConfigError> {
    let digit = |text: &str| match text.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    };
    let (least, most) = value.split_once('-').unwrap_or((value, value));
    let wanted = digit(least)
        .zip(digit(most))
        .and_then(|(least, most)| CodeDigits::new(least, most));
    wanted.ok_or_else(|| {
        let advice = "write a number from 4 to 8, such as 6, or a range of them, such as 4-8";
        ConfigError::value(flag, value, advice)
    })
}

/// Refuses only what cannot be a URL; the rules for hosts belong to `cams`.
pub(super) fn endpoint(
    flag: &'static str,
    value: String,
    example: &str,
) -> Result<String, ConfigError> {
    if value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let advice = format!("write a URL such as {example}");
        return Err(ConfigError::value(flag, &value, advice));
    }
    Ok(value)
}

pub(super) fn path(
    flag: &'static str,
    value: Option<OsString>,
) -> Result<Option<PathBuf>, ConfigError> {
    if value.as_ref().is_some_and(|path| path.is_empty()) {
        let advice = "write a path, or leave it out";
        return Err(ConfigError::value(flag, "", advice));
    }
    Ok(value.map(PathBuf::from))
}

/// Comma-separated names, sorted and without repeats; an empty text is an empty list.
pub(super) fn namespaces(flag: &'static str, value: &str) -> Result<Vec<String>, ConfigError> {
    if value.trim().is_empty() {
        return Ok(Vec::new());
    }
    let names: BTreeSet<&str> = value.split(',').map(str::trim).collect();
    match names.iter().find(|name| !is_dns_label(name)) {
        Some(bad) => {
            let advice = format!(
                "{bad:?} is no namespace name: write names of lower-case letters, digits and \
                 dashes (at most 63 characters), separated by single commas"
            );
            Err(ConfigError::value(flag, value, advice))
        }
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

pub(super) fn dns_label(flag: &'static str, value: String) -> Result<String, ConfigError> {
    if is_dns_label(&value) {
        return Ok(value);
    }
    let advice = "write a namespace name: lower-case letters, digits and dashes, at most 63 \
                  characters";
    Err(ConfigError::value(flag, &value, advice))
}

/// DNS-1123 label: the API server requires it for namespace names.
fn is_dns_label(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last))
        if alphanumeric(*first) && alphanumeric(*last))
        && bytes.len() <= 63
        && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
}

/// Visible ASCII, at most as long as a pod's name may be.
pub(super) fn identity(flag: &'static str, value: String) -> Result<String, ConfigError> {
    let visible = value.bytes().all(|b| b.is_ascii_graphic());
    if visible && !value.is_empty() && value.len() <= 253 {
        return Ok(value);
    }
    let advice = "write 1 to 253 visible ASCII characters, such as the pod's name";
    Err(ConfigError::value(flag, &value, advice))
}
