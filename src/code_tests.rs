#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::crd::SpentCode;
use crate::reason::Outcome;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

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
    )
}

fn code_with(key: u8, digits: &str, rv: &str) -> Code {
    let key = FingerprintKey::new([key; 32]);
    let digits = Secret::new(digits.into());
    Code {
        fingerprint: key.fingerprint("default", "8613800001234", &digits),
        digits,
        expires_at: None,
        secret: version(rv),
    }
}

#[test]
fn only_four_to_eight_digits_are_a_code() {
    let good: [&[u8]; 5] = [b"1234", b"012345", b"12345678", b"123456\n", b"123456\r\n"];
    for value in good {
        let CodeReading::Usable(code) = read(value, None) else {
            panic!("{value:?} refused")
        };
        assert!(code.digits.expose().bytes().all(|b| b.is_ascii_digit()));
    }
    let bad: [&[u8]; 14] = [
        b"",
        b" ",
        b"123",
        b"123456789",
        b"12 456",
        b" 123456",
        b"123456 ",
        b"123456\n\n",
        b"\xef\xbb\xbf123456",
        b"abcdef",
        "１２３４５６".as_bytes(),
        b"\xff\xfe123456",
        b"123-456",
        &[b'1'; 1_000_000],
    ];
    for value in bad {
        assert!(
            matches!(
                read(value, None),
                CodeReading::Invalid(InvalidCode::NotDigits)
            ),
            "{:?} taken for a code",
            &value[..value.len().min(20)]
        );
    }
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
    assert_ne!(FingerprintKey::new([8; 32]).id(), key.id());
}

fn spent(number: i32, code: &Code) -> SpentCode {
    SpentCode {
        number,
        attempt_id: format!("a{number}"),
        code_fingerprint: Some(code.fingerprint.clone()),
        outcome: Outcome::Refused,
        error_code: None,
        request_id: None,
        finished_at: Time(Timestamp::UNIX_EPOCH),
    }
}

fn attempt(code: &Code, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number: 2,
        id: "a2".into(),
        signed_at: Time(Timestamp::UNIX_EPOCH),
        secret: code.secret.clone(),
        code_fingerprint: Some(code.fingerprint.clone()),
        generation: 1,
        outcome,
        finished_at: None,
    }
}

#[test]
fn a_code_is_compared_with_every_spent_one() {
    let (old, last, new) = (
        code_with(1, "111111", "1"),
        code_with(1, "222222", "2"),
        code_with(1, "333333", "3"),
    );
    let status = PhoneMigrationStatus {
        attempt: Some(attempt(&last, Some(Outcome::Refused))),
        history: vec![spent(2, &last), spent(1, &old)],
        ..Default::default()
    };
    assert_eq!(
        sameness(&old, &status),
        Sameness::Same,
        "an old value put back"
    );
    assert_eq!(sameness(&last, &status), Sameness::Same);
    assert_eq!(
        sameness(&code_with(1, "222222", "9"), &status),
        Sameness::Same,
        "a label changed"
    );
    assert_eq!(sameness(&new, &status), Sameness::Different);
    assert_eq!(
        sameness(&new, &PhoneMigrationStatus::default()),
        Sameness::Different
    );
}

#[test]
fn another_key_leaves_sameness_unknown_unless_the_secret_never_moved() {
    let last = code_with(1, "222222", "2");
    let status = PhoneMigrationStatus {
        attempt: Some(attempt(&last, Some(Outcome::Refused))),
        history: vec![spent(2, &last)],
        ..Default::default()
    };
    assert_eq!(
        sameness(&code_with(2, "222222", "2"), &status),
        Sameness::Same
    );
    assert_eq!(
        sameness(&code_with(2, "222222", "3"), &status),
        Sameness::Unknown
    );
    assert_eq!(
        sameness(&code_with(2, "333333", "3"), &status),
        Sameness::Unknown
    );
    // Another key of the same Secret: the fingerprint decides, not the version.
    assert_eq!(
        sameness(&code_with(1, "333333", "2"), &status),
        Sameness::Different
    );
}

#[test]
fn a_released_attempt_spends_nothing_and_an_open_one_does() {
    let code = code_with(1, "222222", "2");
    for (outcome, expected) in [
        (Some(Outcome::NotSent), Sameness::Different),
        (Some(Outcome::Throttled), Sameness::Different),
        (Some(Outcome::Blocked), Sameness::Different),
        (None, Sameness::Same),
        (Some(Outcome::Unknown), Sameness::Same),
        (Some(Outcome::UnknownFinal), Sameness::Same),
        (Some(Outcome::Accepted), Sameness::Same),
    ] {
        let status = PhoneMigrationStatus {
            attempt: Some(attempt(&code, outcome)),
            ..Default::default()
        };
        assert_eq!(sameness(&code, &status), expected, "{outcome:?}");
    }
}
