//! The forms in which a secret may appear. PURE.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret in one encoding.
pub(super) struct Encoded {
    /// The encoding.
    pub name: &'static str,
    /// The bytes to search for.
    pub bytes: Vec<u8>,
    /// The plain form: it can occur by chance.
    pub is_plain: bool,
    /// A list, which is searched for in a text without white space.
    pub squeezed: bool,
}

impl Encoded {
    fn new(name: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            bytes: text.into(),
            is_plain: false,
            squeezed: false,
        }
    }
}

/// Every form, each once.
pub(super) fn encodings(secret: &[u8]) -> Vec<Encoded> {
    let mut all = vec![Encoded {
        is_plain: true,
        ..Encoded::new("plain", secret)
    }];
    all.extend(json(secret));
    all.extend(percent(secret));
    all.extend(base64(secret));
    let hex = each(secret, "", |out, byte| write!(out, "{byte:02x}"));
    all.push(Encoded::new("hexadecimal", hex.to_ascii_uppercase()));
    all.push(Encoded::new("hexadecimal", hex));
    let lists = [
        ("list of bytes", each(secret, ",", |o, b| write!(o, "{b}"))),
        (
            "list of hexadecimal bytes",
            each(secret, ",", |o, b| write!(o, "{b:02x}")),
        ),
        (
            "list of hexadecimal bytes",
            each(secret, ",", |o, b| write!(o, "{b:#04x}")),
        ),
    ];
    all.extend(lists.map(|(name, text)| Encoded {
        squeezed: true,
        ..Encoded::new(name, text)
    }));
    // Most forms of a text without special characters are the text itself.
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|encoded| seen.insert(encoded.bytes.clone()));
    all
}

fn each(secret: &[u8], between: &str, one: impl Fn(&mut String, u8) -> std::fmt::Result) -> String {
    let mut out = String::new();
    for (n, byte) in secret.iter().enumerate() {
        if n > 0 {
            out.push_str(between);
        }
        // Writing to a String does not fail.
        let _ = one(&mut out, *byte);
    }
    out
}

/// As a string in JSON, and as a string in a JSON text that is a string itself.
fn json(secret: &[u8]) -> Vec<Encoded> {
    let name = "JSON-escaped";
    let text = String::from_utf8_lossy(secret).into_owned();
    let escape = |text: &str| {
        let quoted = serde_json::Value::String(text.to_owned()).to_string();
        let inner = quoted.get(1..quoted.len() - 1);
        inner.unwrap_or_default().to_owned()
    };
    let once = escape(&text);
    let slashes = once.replace('/', "\\/");
    let codes = each(secret, "", |o, b| write!(o, "\\u{b:04x}"));
    let upper = each(secret, "", |o, b| write!(o, "\\u{b:04X}"));
    let mut all = Vec::new();
    for form in [once, slashes, codes, upper] {
        all.push(Encoded::new(name, escape(&form)));
        all.push(Encoded::new(name, form));
    }
    all
}

/// Once and twice, in either case: only what must be encoded, and every byte.
fn percent(secret: &[u8]) -> Vec<Encoded> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let needed = each(secret, "", |o, b| match unreserved(b) {
        true => write!(o, "{}", char::from(b)),
        false => write!(o, "%{b:02X}"),
    });
    let every = each(secret, "", |o, b| write!(o, "%{b:02X}"));
    let lower = |text: &str| lower_escapes(text);
    let form = needed.replace("%20", "+");
    let mut all = Vec::new();
    for once in [lower(&needed), needed, form, lower(&every), every] {
        all.push(Encoded::new(
            "percent-encoded twice",
            once.replace('%', "%25"),
        ));
        all.push(Encoded::new("percent-encoded", once));
    }
    all
}

/// `%2F` to `%2f`; other characters keep their case.
fn lower_escapes(text: &str) -> String {
    let mut left = 0usize;
    text.chars()
        .map(|c| {
            if c == '%' {
                left = 3;
            }
            let escape = left > 0;
            left = left.saturating_sub(1);
            if escape { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

/// Standard and URL-safe, at each of the three positions of a text in groups of three bytes;
/// characters that also depend on neighbouring bytes are left out.
fn base64(secret: &[u8]) -> Vec<Encoded> {
    let mut all = Vec::new();
    for place in 0..3 {
        let mut shifted = vec![0; place];
        shifted.extend_from_slice(secret);
        let (first, last) = ((place * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoded in [
            STANDARD_NO_PAD.encode(&shifted),
            URL_SAFE_NO_PAD.encode(&shifted),
        ] {
            let inner = encoded.get(first..last).unwrap_or_default();
            all.push(Encoded::new("base64", inner));
        }
    }
    all
}
