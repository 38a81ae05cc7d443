//! Percent-encoding, form parsing and hex as the gateway does them. PURE.
//!
//! Written apart from the operator's encoder on purpose: the two meet only on the wire.

/// Encodes every byte except `A-Z a-z 0-9 - _ . ~` as `%XX` in upper-case hex.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Decodes `%XX` and, as in a form, `+` as a space. A `%` without two hex digits stays
/// as it is. `None` when the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let (decoded, length) = match (byte, digit(i + 1).zip(digit(i + 2))) {
            (b'%', Some((high, low))) => (u8::try_from(high * 16 + low).ok()?, 3),
            (b'+', _) => (b' ', 1),
            (other, _) => (other, 1),
        };
        out.push(decoded);
        i += length;
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
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
}
