//! Percent-encoding, against the common crate, configured for RFC 3986.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use phone_migration_operator::cams::wire::percent_encode;
use phone_migration_operator::hex::hex;
use proptest::prelude::*;

use super::cases;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn reference(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[test]
fn every_character_is_encoded_as_the_reference_does() {
    let mut text = String::new();
    let mut count = 0;
    for c in '\0'..=char::MAX {
        text.clear();
        text.push(c);
        assert_eq!(percent_encode(&text), reference(&text), "{c:?}");
        count += 1;
    }
    assert_eq!(count, 0x11_0000 - 0x800);
}

#[test]
fn every_byte_is_two_hexadecimal_digits() {
    for byte in 0..=u8::MAX {
        assert_eq!(hex(&[byte, 0x0f]), format!("{byte:02x}0f"));
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn texts_are_encoded_as_the_reference_does(text in any::<String>()) {
        let once = percent_encode(&text);
        prop_assert_eq!(&once, &reference(&text));
        prop_assert_eq!(percent_decode_str(&once).decode_utf8().unwrap(), text.as_str());
        // The string to sign is encoded twice.
        let twice = percent_encode(&once);
        prop_assert_eq!(percent_decode_str(&twice).decode_utf8().unwrap(), once.as_str());
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b);
        prop_assert!(twice.bytes().all(unreserved), "{twice}");
    }
}
