//! Percent-encoding, form parsing, hex and base64 as the gateway does them. PURE.
//!
//! Written apart from the operator's encoder on purpose: the two meet only on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

/// Encodes every byte except `A-Z a-z 0-9 - _ . ~` as `%XX` in upper-case hex.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                out.push('%');
                push_hex(&mut out, other, HEX_UPPER);
            }
        }
    }
    out
}

/// Decodes `%XX` and, as in a form, `+` as a space. A `%` without two hex digits stays
/// as it is. `None` when the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let pair = (
            bytes.get(i + 1).and_then(hex_value),
            bytes.get(i + 2).and_then(hex_value),
        );
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(high * 16 + low);
                i += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                i += 1;
            }
            (other, _) => {
                out.push(other);
                i += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// Splits `a=1&b=2` and decodes both sides. `None` when a part is not UTF-8.
pub fn parse_form(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((percent_decode(name)?, percent_decode(value)?))
        })
        .collect()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        push_hex(&mut out, *byte, HEX_LOWER);
    }
    out
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn push_hex(out: &mut String, byte: u8, digits: &[u8; 16]) {
    for nibble in [byte >> 4, byte & 15] {
        if let Some(digit) = digits.get(usize::from(nibble)) {
            out.push(char::from(*digit));
        }
    }
}

fn hex_value(byte: &u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn encodes_all_but_the_unreserved_set() {
        let table = [
            ("a b", "a%20b"),
            ("+*/~", "%2B%2A%2F~"),
            ("-_.~", "-_.~"),
            ("é", "%C3%A9"),
            ("%7E", "%257E"),
            ("\0\n", "%00%0A"),
        ];
        for (raw, encoded) in table {
            assert_eq!(percent_encode(raw), encoded, "{raw:?}");
            assert_eq!(percent_decode(encoded).unwrap(), raw, "{encoded}");
        }
    }

    #[test]
    fn decodes_a_form_as_the_tea_sdk_writes_it() {
        assert_eq!(
            parse_form("a=x+y&b&=c&&d=%zz%2").unwrap(),
            [("a", "x y"), ("b", ""), ("", "c"), ("d", "%zz%2")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(parse_form("a=%FF"), None);
    }

    #[test]
    fn hex_and_base64_are_the_standard_ones() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
