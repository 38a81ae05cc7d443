//! Converts the model's values to values of the production types, and back.
//!
//! A tick is as long as the validity of a signature. So a signature of age 0 passes the gate, one
//! of age 1 only the service, one of age 2 neither, and from age 3 on it has surely expired.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use phone_migration_operator::api::code_ledger::{CodeLedgerFields, LedgerEntry, MigrationRef};
use phone_migration_operator::api::crd::{
    Attempt, PhoneMigration, PhoneMigrationSpec, PhoneMigrationStatus, SecretVersion, SpentCode,
    VerifyCodeSecretRef, condition,
};
use phone_migration_operator::api::reason::{CodeUse, Reason};
use phone_migration_operator::cams::classify::{SendError, Sent, classify};
use phone_migration_operator::cams::wire::{ReplyHeaders, parse_reply};
use phone_migration_operator::cams::{Answer, NotSentCause, UnknownCause};
use phone_migration_operator::clock::Now;
use phone_migration_operator::domain::code::{
    Code, CodeDigits, CodeReading, FingerprintKey, SecretValues,
};
use phone_migration_operator::domain::ledger::Ledger;
use phone_migration_operator::domain::reads::final_at;
use phone_migration_operator::operator::state::context::ACCOUNT;

use crate::records::{Book, Entry, Id, Out, Said, Word};
use crate::state::{Reply, Signed};

pub const NUMBER: &str = "8613800001234";
/// The validity that the service accepts, and the operator's setting.
pub const VALIDITY: Duration = Duration::from_secs(20);
const TICK: u64 = 20;
const DIGITS: [&str; 2] = ["111111", "222222"];
const NOW: i64 = 1_800_000_000;

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Both clocks, so many ticks ago.
pub fn ago(ticks: u8) -> Now {
    let passed = Duration::from_secs(u64::from(ticks) * TICK);
    Now {
        wall: now() - passed,
        boot: Duration::from_secs(1_000_000) - passed,
    }
}

pub fn later(ticks: i8) -> Timestamp {
    Timestamp::from_second(NOW + i64::from(ticks) * TICK as i64).unwrap()
}

/// Namespaces differ: of the other resource, a process knows only the uid.
pub fn object(resource: u8, life: u8, said: Option<PhoneMigrationStatus>) -> PhoneMigration {
    let spec = PhoneMigrationSpec {
        cust_space_id: "29348393884".into(),
        phone_number: NUMBER.into(),
        verify_code_secret_ref: VerifyCodeSecretRef {
            name: "store-42-code".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        },
        suspend: false,
        retry_token: String::new(),
    };
    let mut object = PhoneMigration::new("store-42", spec);
    let MigrationRef { namespace, uid, .. } = migration(resource, life);
    object.metadata.namespace = Some(namespace);
    object.metadata.uid = Some(uid);
    object.metadata.generation = Some(1);
    object.status = said;
    object
}

fn migration(resource: u8, life: u8) -> MigrationRef {
    MigrationRef {
        namespace: format!("tenant-{resource}"),
        name: "store-42".into(),
        uid: format!("uid-{resource}-{life}"),
        generation: 1,
    }
}

fn secret(resource: u8, rotation: u8) -> SecretVersion {
    SecretVersion {
        uid: format!("secret-{resource}"),
        resource_version: rotation.to_string(),
    }
}

/// The two codes as read by two keys, cached because fingerprints take long.
static CODES: LazyLock<[[Code; 2]; 2]> = LazyLock::new(|| {
    [7, 8].map(|key| DIGITS.map(|digits| read(&FingerprintKey::new([key; 32]), digits)))
});

fn read(key: &FingerprintKey, digits: &str) -> Code {
    let values = SecretValues {
        version: secret(0, 0),
        code: Some(digits.as_bytes().to_vec().into()),
        expires_at: None,
    };
    match CodeReading::new(Some(values), key, ACCOUNT, NUMBER, CodeDigits::default()) {
        CodeReading::Usable(code) => code,
        CodeReading::SecretNotFound
        | CodeReading::SecretForbidden
        | CodeReading::KeyNotFound
        | CodeReading::Invalid(_) => {
            panic!("the Secret of the model always holds a code")
        }
    }
}

/// A code as it was, or would be, signed.
pub fn code(signed: &Signed) -> Code {
    Code {
        secret: secret(signed.resource, signed.rotation),
        ..CODES[usize::from(signed.key)][usize::from(signed.code)].clone()
    }
}

pub fn attempt_id(id: Id) -> String {
    format!("a{id}")
}

fn id(text: &str) -> Id {
    text[1..].parse().unwrap()
}

/// Outcomes are dated like their signatures: only the order of entries depends on them.
pub fn entry(signed: &[Signed], entry: Entry) -> LedgerEntry {
    let of = &signed[usize::from(entry.id)];
    let code = code(of);
    let signed_at = ago(of.age).wall;
    let outcome = entry.out.get();
    LedgerEntry {
        attempt_id: attempt_id(entry.id),
        fingerprint: code.fingerprint,
        signed_at: Time(signed_at),
        final_at: Time(final_at(signed_at, VALIDITY)),
        cust_space_id: "29348393884".into(),
        migration: migration(of.resource, of.life),
        secret: Some(code.secret),
        imported: entry.imported,
        outcome,
        error_code: None,
        error_message: None,
        request_id: None,
        id: (entry.out.code_use() == CodeUse::Verified && !entry.imported).then(|| "828".into()),
        finished_at: outcome.map(|_| Time(signed_at)),
    }
}

pub fn back(entry: &LedgerEntry) -> Entry {
    Entry {
        id: id(&entry.attempt_id),
        out: Out::of(entry.outcome),
        imported: entry.imported,
    }
}

pub fn ledger(signed: &[Signed], book: Option<&Book>) -> Ledger {
    let book = book.cloned().unwrap_or_default();
    Ledger {
        entries: book.entries.iter().map(|e| entry(signed, *e)).collect(),
        released: book.released.iter().map(|id| attempt_id(*id)).collect(),
        ..Ledger::default()
    }
}

pub fn book(ledger: &Ledger) -> Book {
    Book {
        entries: ledger.entries.iter().map(back).collect(),
        released: ledger.released.iter().map(|text| id(text)).collect(),
    }
}

pub fn book_of(fields: CodeLedgerFields) -> Book {
    book(&Ledger {
        entries: fields.entries,
        released: fields.released,
        ..Ledger::default()
    })
}

pub fn status(signed: &[Signed], said: &Said) -> PhoneMigrationStatus {
    let attempt = |(id, out): (Id, Out)| {
        let entry = entry(signed, Entry::new(id, out));
        Attempt {
            number: 1,
            id: entry.attempt_id,
            signed_at: entry.signed_at,
            final_at: Some(entry.final_at),
            secret: entry.secret,
            code_fingerprint: Some(entry.fingerprint),
            generation: 1,
            outcome: entry.outcome,
            finished_at: entry.finished_at,
        }
    };
    let spent = |of: &(Id, Out)| {
        let attempt = attempt(*of);
        SpentCode {
            number: 1,
            attempt_id: attempt.id,
            code_fingerprint: attempt.code_fingerprint,
            outcome: attempt.outcome.unwrap(),
            error_code: None,
            request_id: None,
            finished_at: attempt.signed_at,
        }
    };
    PhoneMigrationStatus {
        observed_generation: Some(1),
        reason: said.reason.map(|word| word.0.as_str().to_owned()),
        id: said.has_id.then(|| "828".into()),
        attempt: said.attempt.map(attempt),
        history: said.history.iter().map(spent).collect(),
        attempt_limit: Some(5),
        last_handled_retry_token: Some(String::new()),
        conditions: vec![Condition {
            type_: condition::FINISHED.to_owned(),
            status: if said.finished { "True" } else { "False" }.to_owned(),
            reason: String::new(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: Time(now()),
        }],
        ..PhoneMigrationStatus::default()
    }
}

/// Keeps only what a decision, or the end, depends on; a released attempt is not evidence.
pub fn said(status: &PhoneMigrationStatus) -> Said {
    let mut conditions = status.conditions.iter();
    let history = status.history.iter();
    let attempt = status.attempt.as_ref();
    let attempt = attempt.map(|a| (id(&a.id), Out::of(a.outcome)));
    let kept = [
        Reason::Verified,
        Reason::DuplicatePhoneNumber,
        Reason::CodeUnknown,
    ];
    Said {
        reason: status
            .reason()
            .filter(|reason| kept.contains(reason))
            .map(Word),
        finished: conditions.any(|c| c.type_ == condition::FINISHED && c.status == "True"),
        has_id: status.id.is_some(),
        attempt: attempt.filter(|(_, out)| !out.is_released()),
        history: history
            .map(|e| (id(&e.attempt_id), Out::of(Some(e.outcome))))
            .collect(),
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

const OK: &str = r#"{"RequestId":"90E63D28-E31D-1EB2-8939-A94866411B2E","Code":"OK","Message":"OK","Data":{"Id":"82828893332","PhoneNumber":"861380000****"}}"#;

/// The answer to a submission, as the production code understands its bytes.
pub fn answer(reply: Reply) -> Answer {
    let sent = match reply {
        Reply::Accepted => received(200, OK),
        Reply::Refused => error(200, "InvalidVerifyCode"),
        Reply::AlreadyVerified => error(200, "PhoneNumber.AlreadyVerified"),
        Reply::Throttled => error(400, "Throttling.User"),
        Reply::Credentials => error(400, "SignatureDoesNotMatch"),
        Reply::NonceUsed => error(400, "SignatureNonceUsed"),
        Reply::Timeout => Err(SendError::Unknown(UnknownCause::Timeout, "timeout".into())),
        Reply::Gate => Err(SendError::NotSent(NotSentCause::Gate, "gate".into())),
    };
    classify(sent, NUMBER)
}
