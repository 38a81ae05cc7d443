#![allow(clippy::unwrap_used)]

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> String {
    crate::hex::hex(text.as_bytes())
}

/// Every form in which an external system could repeat a secret.
fn forms(secret: &str) -> Vec<String> {
    let once = percent_encode(secret);
    let twice = percent_encode(&once);
    let mut all = vec![
        secret.to_owned(),
        once.clone(),
        twice.clone(),
        once.replace("%20", "+"),
        hex(secret),
        hex(secret).to_uppercase(),
    ];
    all.push(lower_escapes(&once));
    all.push(lower_escapes(&twice));
    all
}

/// `%2F` to `%2f`; letters outside escapes stay unchanged.
fn lower_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut left = 0;
    for c in text.chars() {
        left = if c == '%' { 3 } else { left };
        out.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = i32::max(left - 1, 0);
    }
    out
}

#[test]
fn the_echo_of_the_signed_string_is_emptied() {
    // As the gateway sends it: everything encoded twice.
    let message = "Specified signature is not matched with our calculation. server string to \
        sign is:POST&%2F&AccessKeyId%3DSTS.testid%26Action%3DChatappMigrationVerified%26\
        PhoneNumber%3D8613800001234%26SecurityToken%3DCAIS%252Fsts%252Btok%253D%253D%26\
        VerifyCode%3D828798";
    let secrets = ["828798", "STS.testid", "CAIS/sts+tok=="];
    let clean = scrub_with_phone(message, &secrets, Some("8613800001234"));
    assert!(clean.starts_with("Specified signature is not matched"));
    for hidden in ["828798", "STS.testid", "CAIS", "8613800001234", "1234"] {
        assert!(!clean.contains(hidden), "{clean}");
    }
}

#[test]
fn short_codes_go_wherever_they_stand() {
    assert_eq!(
        scrub("code 1234, ref 9912349", &["1234"]),
        "code ***, ref 99***9"
    );
}

#[test]
fn base64_is_found_at_every_alignment() {
    let secret = "828798";
    for (before, after) in [
        ("", ""),
        ("x", ""),
        ("xy", "z"),
        ("xyz", "yz"),
        ("", "abcd"),
    ] {
        for engine in [&STANDARD, &URL_SAFE] {
            let encoded = engine.encode(format!("{before}{secret}{after}"));
            let clean = scrub(&format!("body {encoded} end"), &[secret]);
            assert!(clean.contains(HIDDEN), "{encoded} came back as {clean}");
        }
    }
}

#[test]
fn control_and_invisible_characters_go_and_cannot_hide_a_secret() {
    let message =
        "a\r\n\tb\u{0}\u{7}\u{1b}[31mred\u{1b}[0m \u{202e}82\u{200b}87\u{ad}98\u{feff} end";
    assert_eq!(scrub(message, &["828798"]), "a bred *** end");
}

#[test]
fn a_forged_log_line_stays_one_line() {
    let clean = scrub("denied\n level=error msg=\"forged\"\u{2028}x\u{85}y", &[]);
    assert_eq!(clean, "denied level=error msg=\"forged\" x y");
}

#[test]
fn long_messages_are_cut_between_characters() {
    let clean = scrub(&"号".repeat(1_000), &[]);
    assert_eq!(clean.chars().count(), MAX_CHARS);
    assert!(clean.ends_with('…'));
    let exact = "x".repeat(MAX_CHARS);
    assert_eq!(scrub(&exact, &[]), exact);
}

#[test]
fn the_cut_comes_after_the_scrubbing() {
    // An earlier cut would leave the first half of the code.
    let message = format!("{}828798", "x".repeat(MAX_CHARS - 3));
    assert!(!scrub(&message, &["828798"]).contains("82"));
}

#[test]
fn nothing_to_hide_changes_nothing() {
    assert_eq!(scrub("plain words", &[]), "plain words");
    assert_eq!(scrub("plain words", &[""]), "plain words");
    assert_eq!(scrub("", &["828798"]), "");
}

#[test]
fn phone_numbers_are_masked() {
    assert_eq!(mask_phone("8613800001234"), "861380000****");
    assert_eq!(mask_phone("861380000****"), "861380000****");
    assert_eq!(mask_phone("+86 138-0000-1234"), "861380000****");
    assert_eq!(mask_phone("1234"), "****");
    assert_eq!(mask_phone("none"), "");
    assert_eq!(mask_phone(&"9".repeat(99)).len(), 20);
}

#[test]
fn a_message_names_the_number_masked_only() {
    let number = Some("8613800001234");
    let clean = scrub_with_phone("8613800001234, +8613800001234, 13800001234", &[], number);
    assert_eq!(clean, "861380000****, +861380000****, 1380000****");
    let clean = scrub_with_phone(&hex("8613800001234"), &[], number);
    assert_eq!(clean, HIDDEN);
}

#[test]
fn the_masked_number_does_not_show_a_code() {
    let clean = scrub_with_phone("to 8613800001234", &["1380"], Some("8613800001234"));
    assert_eq!(clean, "to 86***000****");
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{4,8}",
        "[A-Za-z0-9]{16,30}",
        "[A-Za-z0-9/+=&% _.~-]{4,40}",
        "[A-Za-z0-9\u{e9}\u{53f7}]{2,12}",
    ]
    .prop_map(|text| text.trim().to_owned())
    .prop_filter("not empty", |text| !text.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_form_of_a_secret_survives(
        parts in prop::collection::vec((any::<String>(), any::<prop::sample::Index>()), 1..6),
        secrets in prop::collection::vec(secret(), 1..4),
    ) {
        let all: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let mut message = String::new();
        for (noise, pick) in &parts {
            message.push_str(noise);
            message.push_str(pick.get(&all).as_str());
        }
        let hidden: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let clean = scrub(&message, &hidden);
        for form in &all {
            prop_assert!(!clean.contains(form.as_str()), "{form:?} in {clean:?}");
        }
        prop_assert!(clean.chars().count() <= MAX_CHARS);
        prop_assert!(!clean.chars().any(|c| c.is_control() || is_invisible(c)));
    }
}
