//! A Secret's body, and the two values in it.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use k8s_openapi::api::core::v1::Secret;
use phone_migration_operator::api::crd::{SecretVersion, VerifyCodeSecretRef};
use phone_migration_operator::cluster::secret_body::parse;
use phone_migration_operator::domain::code::{
    CodeDigits, CodeReading, FingerprintKey, InvalidCode, SecretValues,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::json::{a_json, an_object, damaged};
use super::{any_bytes, cases};

const NAMES: &[&str] = &[
    "metadata",
    "data",
    "uid",
    "resourceVersion",
    "code",
    "expiresAt",
    "kind",
    "stringData",
    "immutable",
];

fn reference() -> VerifyCodeSecretRef {
    VerifyCodeSecretRef {
        name: "s".into(),
        key: "code".into(),
        expires_at_key: "expiresAt".into(),
    }
}

fn read(code: &[u8], expires_at: Option<&[u8]>) -> CodeReading {
    let values = SecretValues {
        version: SecretVersion {
            uid: "u".into(),
            resource_version: "1".into(),
        },
        code: Some(Zeroizing::new(code.to_vec())),
        expires_at: expires_at.map(|value| Zeroizing::new(value.to_vec())),
    };
    CodeReading::new(
        Some(values),
        &FingerprintKey::new([1; 32]),
        "a",
        "8613800001234",
        CodeDigits::new(4, 8).unwrap(),
    )
}

/// The digits, if the code may be sent.
fn digits(reading: &CodeReading) -> Option<String> {
    match reading {
        CodeReading::Usable(code) => code
            .digits
            .as_ref()
            .map(|digits| digits.expose().to_owned()),
        CodeReading::SecretNotFound
        | CodeReading::SecretForbidden
        | CodeReading::KeyNotFound
        | CodeReading::Invalid(_) => None,
    }
}

/// 4 to 8 digits, and white space and dashes anywhere: a second definition.
fn expected(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let dashes = [
        '-', '\u{ad}', '‐', '‑', '‒', '–', '—', '―', '−', '﹘', '﹣', '－',
    ];
    let code: String = text
        .split_whitespace()
        .flat_map(|word| word.split(dashes))
        .collect();
    let digits = code.bytes().all(|b| b.is_ascii_digit());
    (digits && (4..=8).contains(&code.len())).then_some(code)
}

fn is_empty(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_whitespace)
}

fn a_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => "[0-9]{0,12}(\r\n|\n|\r|)".prop_map(String::into_bytes),
        1 => "[ \t]?[0-9]{3,9}[ \t\r\n]{0,3}".prop_map(String::into_bytes),
        2 => "([0-9]|[- –\u{a0}\u{200b}]){3,12}".prop_map(String::into_bytes),
        1 => "[0-9０-９٠-٩²]{3,9}".prop_map(String::into_bytes),
        1 => any_bytes(),
    ]
}

#[test]
fn every_short_value_over_a_small_alphabet_is_read_as_expected() {
    const ALPHABET: [&[u8]; 7] = [b"", b"0", b"7", b"\n", b"\r", b" ", b"\xff"];
    let mut count = 0;
    for n in 0..ALPHABET.len().pow(6) {
        let picks = (0..6).map(|i| ALPHABET[n / ALPHABET.len().pow(i) % ALPHABET.len()]);
        let value: Vec<u8> = picks.flatten().copied().collect();
        assert_eq!(digits(&read(&value, None)), expected(&value), "{value:?}");
        count += 1;
    }
    assert_eq!(count, 117_649);
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn only_digits_are_ever_sent(value in a_value()) {
        let reading = read(&value, None);
        prop_assert_eq!(digits(&reading), expected(&value));
        let refused = matches!(reading, CodeReading::Invalid(InvalidCode::NotDigits(_)));
        let missing = matches!(reading, CodeReading::KeyNotFound);
        prop_assert_eq!(missing, is_empty(&value));
        prop_assert_eq!(refused, expected(&value).is_none() && !missing);
    }

    #[test]
    fn every_time_of_rfc_3339_is_an_expiry(
        second in -62_135_596_800i64..253_402_207_200,
        nanos in prop_oneof![Just(0), 0..1_000_000_000i32],
        minutes in -1_439..=1_439i32,
        end in "[ \t]{0,2}(\r\n|\n|)",
    ) {
        let at = Timestamp::new(second, if second < 0 { 0 } else { nanos }).unwrap();
        let offset = TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap());
        let local = at.to_zoned(offset);
        prop_assume!((1..=9998).contains(&local.year()));
        let text = format!("{}{end}", local.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"));
        match read(b"123456", Some(text.as_bytes())) {
            CodeReading::Usable(code) => prop_assert_eq!(code.expires_at, Some(at)),
            _ => prop_assert!(false, "{text:?} refused"),
        }
    }

    #[test]
    fn any_expiry_is_a_time_or_refused(value in any_bytes(), now in -1_000_000_000_000i64..) {
        let now = Timestamp::from_second(now.clamp(-62_000_000_000, 253_000_000_000)).unwrap();
        let reading = read(b"123456", Some(&value));
        match &reading {
            CodeReading::Usable(code) => {
                let at = code.expires_at.unwrap();
                prop_assert_eq!(reading.usable_at(now).is_some(), now < at);
            }
            CodeReading::Invalid(why) => prop_assert_eq!(*why, InvalidCode::ExpiryNotATime),
            CodeReading::SecretNotFound
            | CodeReading::SecretForbidden
            | CodeReading::KeyNotFound => prop_assert!(false),
        }
    }

    /// The reference is the type with which other clients read a Secret.
    #[test]
    fn a_secret_is_read_as_the_reference_reads_it(
        data in prop::collection::btree_map(
            prop_oneof![Just("code".to_owned()), Just("expiresAt".to_owned()), "[-._a-zA-Z0-9]{1,12}"],
            any_bytes(), 0..6,
        ),
        uid in "[0-9a-f-]{36}",
        version in any::<u64>(),
    ) {
        let data = data.into_iter().map(|(key, value)| (key, k8s_openapi::ByteString(value)));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.uid = Some(uid);
        secret.metadata.resource_version = Some(version.to_string());
        let body = serde_json::to_vec(&secret).unwrap();
        let values = parse(&body, &reference()).unwrap();
        let of = |key: &str| secret.data.as_ref().unwrap().get(key).map(|value| value.0.clone());
        prop_assert_eq!(values.code.map(|value| value.to_vec()), of("code"));
        prop_assert_eq!(values.expires_at.map(|value| value.to_vec()), of("expiresAt"));
        prop_assert_eq!(Some(values.version.uid), secret.metadata.uid);
        prop_assert_eq!(values.version.resource_version, version.to_string());
    }

    #[test]
    fn any_body_is_a_secret_or_none(
        bytes in any_bytes(),
        shaped in damaged(an_object(NAMES, a_json(NAMES))),
    ) {
        for body in [bytes, shaped] {
            let Some(values) = parse(&body, &reference()) else { continue };
            let text = String::from_utf8_lossy(&body);
            let whole = text.trim();
            prop_assert!(whole.starts_with('{') && whole.ends_with('}'), "{text}");
            let version = values.version.clone();
            let key = FingerprintKey::new([1; 32]);
            let digits = CodeDigits::default();
            let reading = CodeReading::new(Some(values), &key, "a", "1234567", digits);
            if let CodeReading::Usable(code) = reading {
                prop_assert_eq!(&code.secret, &version);
                prop_assert_eq!(code.fingerprint.len(), 41);
            }
        }
    }
}
