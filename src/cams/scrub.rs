//! Removes secrets from texts that come from outside. PURE.
//!
//! The `SignatureDoesNotMatch` reply repeats the server's whole string to sign: the code, the key
//! id, the token and the number, percent-encoded twice. So every message from the API passes here
//! before any other code sees it.
//!
//! Order matters: control and invisible characters go first (they could split a secret and hide
//! it), then the secrets, then the cut to [`MAX_CHARS`] (an earlier cut would leave halves of
//! secrets).
//!
//! Limits: this module does not find an encoding that is not listed at `needles`, nor a secret that
//! visible characters split. It searches base64 for secrets of four bytes and more.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::wire::percent_encode;
use crate::hex::hex;

/// Longest text that leaves this module, in characters. The schema allows more: 512.
pub const MAX_CHARS: usize = 256;

/// Replacement of a secret.
pub const HIDDEN: &str = "***";

/// Number of hidden digits at the end of a phone number.
const MASKED_DIGITS: usize = 4;

/// Shortest secret whose base64 form is searched. Below this length the needle would have one to
/// three characters and match any text.
const MIN_BASE64_SECRET: usize = 4;

/// Removes every secret in every known encoding, strips control characters, collapses white space
/// and cuts to [`MAX_CHARS`]. Ignores empty secrets.
pub fn scrub(message: &str, secrets: &[&str]) -> String {
    scrub_with_phone(message, secrets, None)
}

/// As [`scrub`], and also replaces the phone number (digits): by its masked form where it stands in
/// plain text, with or without its country code.
pub fn scrub_with_phone(message: &str, secrets: &[&str], phone: Option<&str>) -> String {
    let mut rules = Vec::new();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        for needle in needles(secret) {
            rules.push(Rule::hide(needle));
        }
    }
    if let Some(number) = phone.filter(|number| number.len() > MASKED_DIGITS) {
        phone_rules(number, &mut rules);
    }
    // Longest first: if one needle begins with another, the longer one must win.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.needle.text.len()));
    let visible = Zeroizing::new(strip(message));
    let mut clean = replace(&visible, &rules);
    if phone.is_some() {
        // A masked number still shows digits, which can contain a short code.
        rules.retain(|rule| rule.replacement == HIDDEN);
        clean = replace(&clean, &rules);
    }
    clamp(&clean)
}

/// Digits and `*` of a phone number with the last four digits masked: `861380000****`. Drops all
/// other characters and keeps at most 20.
pub fn mask_phone(number: &str) -> String {
    let kept: Vec<char> = number
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '*')
        .take(20)
        .collect();
    let open = kept.len().saturating_sub(MASKED_DIGITS);
    kept.iter()
        .enumerate()
        .map(|(at, c)| if at < open { *c } else { '*' })
        .collect()
}

/// One form of one secret.
struct Needle {
    text: Zeroizing<String>,
    /// Base64 only: ignoring the case would match foreign text.
    exact_case: bool,
}

struct Rule {
    needle: Needle,
    replacement: String,
}

impl Rule {
    fn hide(needle: Needle) -> Self {
        Self {
            needle,
            replacement: HIDDEN.to_owned(),
        }
    }
}

fn folded(text: String) -> Needle {
    Needle {
        text: Zeroizing::new(text),
        exact_case: false,
    }
}

/// The searched forms of a secret: raw, percent-encoded once and twice, form-encoded, hex, and
/// base64 (standard and URL-safe) at each of the three alignments.
fn needles(secret: &str) -> Vec<Needle> {
    let once = percent_encode(secret);
    let twice = percent_encode(&once);
    let form = once.replace("%20", "+");
    let hex = hex(secret.as_bytes());
    // A stripped text holds no control characters and only single spaces, so search the secret in
    // that form too.
    let mut all = vec![
        folded(secret.to_owned()),
        folded(strip(secret)),
        folded(once),
        folded(twice),
        folded(form),
        folded(hex),
    ];
    if secret.len() >= MIN_BASE64_SECRET {
        for offset in 0..3 {
            all.extend(base64_needles(secret.as_bytes(), offset));
        }
    }
    all.retain(|needle| !needle.text.is_empty());
    all
}

/// The base64 characters that depend on the secret alone when it begins `offset` bytes into a group
/// of three. The characters at both ends mix with the neighbours and are left out.
fn base64_needles(secret: &[u8], offset: usize) -> Vec<Needle> {
    let mut padded = Zeroizing::new(vec![0u8; offset]);
    padded.extend_from_slice(secret);
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    [
        STANDARD_NO_PAD.encode(&*padded),
        URL_SAFE_NO_PAD.encode(&*padded),
    ]
    .into_iter()
    .map(Zeroizing::new)
    .filter_map(|encoded| encoded.get(first..last).map(str::to_owned))
    .map(|text| Needle {
        text: Zeroizing::new(text),
        exact_case: true,
    })
    .collect()
}

/// The whole number, and the number without a country code of one to three digits if at least seven
/// digits remain. Its encoded forms are hidden like any secret.
fn phone_rules(number: &str, rules: &mut Vec<Rule>) {
    for skip in 0..=3 {
        let Some(plain) = number
            .get(skip..)
            .filter(|rest| skip == 0 || rest.len() >= 7)
        else {
            continue;
        };
        rules.push(Rule {
            needle: folded(plain.to_owned()),
            replacement: mask_phone(plain),
        });
    }
    let encoded = needles(number)
        .into_iter()
        .filter(|needle| needle.text.as_str() != number)
        .map(Rule::hide);
    rules.extend(encoded);
}

/// Replaces every match, leftmost first; rules are sorted longest first.
fn replace(text: &str, rules: &[Rule]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'scan: while let Some(c) = rest.chars().next() {
        for rule in rules {
            if let Some(tail) = strip_needle(rest, &rule.needle) {
                out.push_str(&rule.replacement);
                rest = tail;
                continue 'scan;
            }
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

fn strip_needle<'a>(text: &'a str, needle: &Needle) -> Option<&'a str> {
    let head = text.get(..needle.text.len())?;
    let same = if needle.exact_case {
        head == needle.text.as_str()
    } else {
        head.eq_ignore_ascii_case(&needle.text)
    };
    same.then(|| text.get(needle.text.len()..).unwrap_or_default())
}

/// Drops control, format and other invisible characters and ANSI sequences. White space, including
/// line ends, becomes one space.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut gap = false;
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                // CSI: parameters, then one final byte.
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            continue;
        }
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if c.is_control() || is_invisible(c) {
            continue;
        }
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.push(c);
    }
    out
}

/// Format characters (general category Cf and similar): they reorder or hide the visible text.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Cuts to [`MAX_CHARS`] characters; a cut text ends in an ellipsis.
fn clamp(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MAX_CHARS - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests;
