//! Values of the production types that the model works with: the resource, the codes, the answers.
//!
//! A tick is as long as the validity of a signature. So a signature of age 0 passes the gate, one
//! of age 1 only the service, one of age 2 nobody, and from age 3 on it has surely expired.

use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::cams::NotSentCause;
use phone_migration_operator::cams::classify::{SendError, Sent, classify, classify_status};
use phone_migration_operator::cams::wire::{ReplyHeaders, parse_reply};
use phone_migration_operator::cams::{Answer, StatusAnswer, UnknownCause};
use phone_migration_operator::clock::Now;
use phone_migration_operator::code::{Code, CodeReading, FingerprintKey, SecretValues};
use phone_migration_operator::context::ACCOUNT;
use phone_migration_operator::crd::{
    PhoneMigration, PhoneMigrationSpec, SecretVersion, VerifyCodeSecretRef,
};

use crate::state::Reply;

pub const NUMBER: &str = "8613800001234";
/// What the service accepts, and the operator is told.
pub const VALIDITY: Duration = Duration::from_secs(20);
/// The two codes.
pub const DIGITS: [&str; 2] = ["111111", "222222"];

/// The wall clock at a tick.
pub fn wall(tick: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + tick * 20).unwrap()
}

/// Both clocks at a tick.
pub fn clocks(tick: i64) -> Now {
    Now {
        wall: wall(tick),
        boot: Duration::from_secs(u64::try_from(1_000_000 + tick * 20).unwrap()),
    }
}

/// The tick of a time that the model made.
pub fn tick_of(at: Timestamp) -> i64 {
    (at.as_second() - 1_800_000_000).div_euclid(20)
}

/// A resource without a status.
pub fn resource(adopt_if_verified: bool) -> PhoneMigration {
    let spec = PhoneMigrationSpec {
        cust_space_id: "29348393884".into(),
        phone_number: NUMBER.into(),
        verify_code_secret_ref: VerifyCodeSecretRef {
            name: "store-42-code".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        },
        adopt_if_verified,
        suspend: false,
        retry_token: String::new(),
    };
    let mut object = PhoneMigration::new("store-42", spec);
    object.metadata.namespace = Some("tenant-a".into());
    object.metadata.uid = Some("uid-0".into());
    object.metadata.generation = Some(1);
    object
}

/// What the Secret holds after so many rotations, for each of them.
pub fn readings(rotations: u8) -> Vec<CodeReading> {
    let key = FingerprintKey::new([7; 32]);
    let reading = |rotation: u8| {
        let values = SecretValues {
            version: SecretVersion {
                uid: "secret".into(),
                resource_version: rotation.to_string(),
            },
            code: Some(DIGITS[code_at(rotation)].as_bytes().to_vec().into()),
            expires_at: None,
        };
        CodeReading::new(Some(values), &key, ACCOUNT, NUMBER)
    };
    (0..=rotations).map(reading).collect()
}

/// Which of the two codes the Secret holds after so many rotations.
pub fn code_at(rotation: u8) -> usize {
    usize::from(rotation % 2)
}

/// The code of a reading; every reading of the model is usable.
pub fn usable(reading: &CodeReading) -> &Code {
    match reading {
        CodeReading::Usable(code) => code,
        CodeReading::SecretNotFound | CodeReading::KeyNotFound | CodeReading::Invalid(_) => {
            panic!("the Secret of the model always holds a code")
        }
    }
}

fn received(status: u16, body: &str) -> Sent {
    let headers = ReplyHeaders {
        date: None,
        retry_after: None,
        content_type: Some("application/json;charset=utf-8"),
    };
    Ok(parse_reply(status, &headers, body.as_bytes()))
}

fn error(status: u16, code: &str) -> Sent {
    let body = format!(
        r#"{{"RequestId":"90E63D28-E31D-1EB2-8939-A94866411B2E","Code":"{code}","Message":"m"}}"#
    );
    received(status, &body)
}

const OK: &str = r#"{"RequestId":"90E63D28-E31D-1EB2-8939-A94866411B2E","Code":"OK","Message":"OK","Data":{"Id":"82828893332","PhoneNumber":"861380000****""#;

/// The answer to a submission, as the production code understands its bytes.
pub fn answer(reply: Reply) -> Answer {
    let sent = match reply {
        Reply::Accepted => received(200, &format!("{OK}}}}}")),
        Reply::Refused => error(200, "InvalidVerifyCode"),
        Reply::AlreadyVerified => error(200, "PhoneNumber.AlreadyVerified"),
        Reply::Throttled => error(400, "Throttling.User"),
        Reply::Credentials => error(400, "SignatureDoesNotMatch"),
        Reply::Account => error(403, "Forbidden.RAM"),
        Reply::Expired => error(400, "InvalidTimeStamp.Expired"),
        Reply::NonceUsed => error(400, "SignatureNonceUsed"),
        Reply::ServerFailure => error(500, "InternalError"),
        Reply::Timeout => Err(SendError::Unknown(UnknownCause::Timeout, "timeout".into())),
        Reply::Gate => Err(SendError::NotSent(NotSentCause::Gate, "gate".into())),
    };
    classify(sent, NUMBER)
}

/// The answer to a status read, but for its date.
pub fn status_answer(verified: bool) -> StatusAnswer {
    let status = if verified { "VERIFIED" } else { "NOT_VERIFIED" };
    let body = format!(r#"{OK},"CodeVerificationStatus":"{status}"}}}}"#);
    classify_status(received(200, &body), NUMBER)
}

/// A status read without an answer.
pub fn failed_read() -> StatusAnswer {
    let sent = Err(SendError::Unknown(UnknownCause::Timeout, "timeout".into()));
    classify_status(sent, NUMBER)
}
