//! Secrets of any shape in messages of any shape. Tests next to the code cover the forms
//! themselves; here there are several at once, together with a phone number.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use phone_migration_operator::cams::scrub::{MAX_CHARS, mask_phone, scrub_with_phone};
use phone_migration_operator::cams::wire::percent_encode;
use proptest::prelude::*;

use super::cases;

/// The possible content of a credential file or a Secret: printable ASCII. Without the asterisk,
/// which replaces a secret.
fn a_secret() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[0-9]{4,8}",
        1 => "[!-)+-~]{4,40}",
        1 => "[A-Za-z0-9+/]{30,200}={0,2}",
    ]
}

fn hex(text: &str) -> String {
    phone_migration_operator::hex::hex(text.as_bytes())
}

/// The forms that the scrubber promises to find.
fn forms(secret: &str) -> Vec<String> {
    let once = percent_encode(secret);
    vec![
        secret.to_owned(),
        percent_encode(&once),
        once,
        hex(secret),
        hex(secret).to_uppercase(),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
    ]
}

/// Whether the text decodes to the secret.
fn decodes_to(clean: &str, secret: &str) -> bool {
    let words = clean.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)));
    words
        .filter_map(|word| STANDARD.decode(word).ok())
        .any(|bytes| {
            bytes
                .windows(secret.len())
                .any(|piece| piece == secret.as_bytes())
        })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn nothing_of_several_secrets_and_a_number_survives(
        secrets in prop::collection::vec(a_secret(), 1..4),
        number in "[1-9][0-9]{6,14}",
        pieces in prop::collection::vec((any::<String>(), any::<prop::sample::Index>()), 0..6),
    ) {
        let mut all: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        all.extend([number.clone(), percent_encode(&format!("+{number}")), hex(&number)]);
        let mut message = String::new();
        for (noise, form) in &pieces {
            message.push_str(noise);
            message.push_str(form.get(&all).as_str());
        }
        let hidden: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let clean = scrub_with_phone(&message, &hidden, Some(&number));
        for secret in &secrets {
            for form in forms(secret).iter().take(5) {
                prop_assert!(!clean.contains(form.as_str()), "{form:?} in {clean:?}");
            }
            prop_assert!(!decodes_to(&clean, secret), "{secret:?} in {clean:?}");
        }
        prop_assert!(!clean.contains(number.as_str()), "{number} in {clean:?}");
        prop_assert!(clean.chars().count() <= MAX_CHARS);
        prop_assert!(!clean.chars().any(char::is_control));
        // A second scrub changes nothing.
        prop_assert_eq!(scrub_with_phone(&clean, &hidden, Some(&number)), clean);
    }

    #[test]
    fn any_text_is_scrubbed_without_a_panic(
        message in any::<String>(),
        secrets in prop::collection::vec(any::<String>(), 0..4),
        number in prop::option::of(any::<String>()),
    ) {
        let hidden: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let clean = scrub_with_phone(&message, &hidden, number.as_deref());
        prop_assert!(clean.chars().count() <= MAX_CHARS);
        prop_assert!(!clean.chars().any(char::is_control));
    }

    /// The cut is between characters, at any length.
    #[test]
    fn long_texts_of_any_script_are_cut_between_characters(c in any::<char>(), length in 200..400usize) {
        let text: String = std::iter::repeat_n(c, length).collect();
        let clean = scrub_with_phone(&text, &[], None);
        prop_assert!(clean.chars().count() <= MAX_CHARS);
        prop_assert!(clean.chars().all(|shown| shown == c || shown == '…'));
    }

    #[test]
    fn a_mask_shows_digits_and_never_the_last_four(number in any::<String>(), digits in "[0-9]{0,30}") {
        for number in [number, digits] {
            let masked = mask_phone(&number);
            prop_assert!(masked.len() <= 20);
            prop_assert!(masked.bytes().all(|b| b.is_ascii_digit() || b == b'*'));
            prop_assert!(masked.bytes().rev().take(4).all(|b| b == b'*'));
            prop_assert_eq!(mask_phone(&masked), masked);
        }
    }
}
