#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn version(rv: &str) -> SecretVersion {
    SecretVersion {
        uid: "u".into(),
        resource_version: rv.into(),
    }
}

fn read(code: &[u8], expires: Option<&[u8]>) -> CodeReading {
    CodeReading::new(
        Some(SecretValues {
            version: version("1"),
            code: Some(Zeroizing::new(code.to_vec())),
            expires_at: expires.map(|e| Zeroizing::new(e.to_vec())),
        }),
        &FingerprintKey::new([1; 32]),
        "default",
        "8613800001234",
        CodeDigits::default(),
    )
}

#[test]
fn a_code_is_six_digits_without_white_space_and_dashes() {
    let good: [&str; 12] = [
        "012345",
        "012345\n",
        "012345\r\n",
        " 012345",
        "012345 \n\n",
        "012-345",
        "012 345",
        "0 1 2 3 4 5",
        "-012345-",
        "012\u{a0}345",
        "012\u{2013}345",
        "\t012\u{2011}345\u{2009}",
    ];
    for value in good {
        let CodeReading::Usable(code) = read(value.as_bytes(), None) else {
            panic!("{value:?} refused")
        };
        assert_eq!(code.digits.unwrap().expose(), "012345", "{value:?}");
    }
    let bad: [&[u8]; 13] = [
        b"12345",
        b"5349",
        b"0123456",
        b"01234567",
        b"012345678",
        b"---",
        b"012.345",
        b"+012345",
        b"\xef\xbb\xbf012345",
        b"abcdef",
        "０１２３４５".as_bytes(),
        b"\xff\xfe012345",
        &[b'1'; 1_000_000],
    ];
    for value in bad {
        let CodeReading::Invalid(why) = read(value, None) else {
            panic!("{:?} taken for a code", &value[..value.len().min(20)])
        };
        assert_eq!(why, InvalidCode::NotDigits(CodeDigits::default()));
    }
}

#[test]
fn how_many_digits_a_code_has_can_be_configured() {
    let wanted = CodeDigits::new(4, 8).unwrap();
    for (digits, fits) in [(3, false), (4, true), (6, true), (8, true), (9, false)] {
        let values = SecretValues {
            version: version("1"),
            code: Some(Zeroizing::new(vec![b'1'; digits])),
            expires_at: None,
        };
        let key = FingerprintKey::new([1; 32]);
        let reading = CodeReading::new(Some(values), &key, "default", "8613800001234", wanted);
        assert_eq!(matches!(reading, CodeReading::Usable(_)), fits, "{digits}");
    }
    for (least, most) in [(3, 6), (6, 9), (7, 6), (0, 0)] {
        assert_eq!(CodeDigits::new(least, most), None, "{least}-{most}");
    }
    assert_eq!(wanted.to_string(), "4 to 8 digits");
    assert_eq!(CodeDigits::default().to_string(), "6 digits");
}

#[test]
fn expiry_is_a_time_or_an_error() {
    let CodeReading::Usable(code) = read(b"123456", Some(b"2026-11-23T12:00:00+01:00\n")) else {
        panic!("refused")
    };
    let at: Timestamp = "2026-11-23T11:00:00Z".parse().unwrap();
    assert_eq!(code.expires_at, Some(at));
    assert!(code.is_expired(at));
    assert!(!code.is_expired(at - std::time::Duration::from_secs(1)));
    let bad: [&[u8]; 4] = [b"soon", b"", b"1732300000", &[b'2'; 100]];
    for value in bad {
        assert!(matches!(
            read(b"123456", Some(value)),
            CodeReading::Invalid(InvalidCode::ExpiryNotATime)
        ));
    }
}

#[test]
fn fingerprint_parts_cannot_be_shifted_into_each_other() {
    let key = FingerprintKey::new([7; 32]);
    let one = key.fingerprint("a", "1234567", &Secret::new("123456".into()));
    let two = key.fingerprint("a1", "234567", &Secret::new("123456".into()));
    let three = key.fingerprint("a", "12345671", &Secret::new("23456".into()));
    assert!(one != two && one != three && two != three);
    assert_eq!(one.len(), 8 + 1 + 32);
    assert_eq!(key_id(&one), Some(key.id()));
    assert_ne!(FingerprintKey::new([8; 32]).id(), key.id());
}
