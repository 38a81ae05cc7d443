//! Resources as the API server may return them, with any stored content: parsed or refused, and
//! unchanged when written back.

use std::time::Duration;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use phone_migration_operator::api::code_ledger::CodeLedger;
use phone_migration_operator::api::crd::{PhoneMigration, PhoneMigrationStatus, SecretVersion};
use phone_migration_operator::api::poll_interval::Interval;
use phone_migration_operator::api::reason::Outcome;
use phone_migration_operator::domain::code::{
    CodeDigits, CodeReading, FingerprintKey, SecretValues,
};
use phone_migration_operator::domain::decide::{Next, Observed, Permit, TurnState, decide};
use phone_migration_operator::domain::fact::{Fact, State};
use phone_migration_operator::domain::ledger::{Ledger, import};
use phone_migration_operator::domain::reads::{Reads, final_at};
use phone_migration_operator::domain::status::{Stamp, UserRequest, apply};
use phone_migration_operator::operator::state::memory::back_off;
use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::cases;
use super::json::{a_json, an_object, damaged, quoted};

const NAMES: &[&str] = &[
    "observedGeneration",
    "reason",
    "id",
    "phoneNumber",
    "errorCode",
    "errorMessage",
    "requestId",
    "verifiedAt",
    "attempt",
    "history",
    "attemptLimit",
    "nextAttemptAt",
    "conditions",
    "number",
    "signedAt",
    "secret",
    "codeFingerprint",
    "generation",
    "outcome",
    "finishedAt",
    "uid",
    "resourceVersion",
    "attemptId",
    "lastHandledRetryToken",
    "type",
    "status",
    "lastTransitionTime",
    "message",
];

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Statuses that parse, with the extremes of every type.
fn a_status() -> impl Strategy<Value = Value> {
    let time = prop::sample::select(vec![
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-23T11:59:59Z",
        "2026-11-23T12:00:00Z",
        "2026-11-23T14:00:00+02:00",
        "9999-12-30T22:00:00Z",
    ]);
    let number = prop::sample::select(vec![i32::MIN, -1, 0, 1, 2, 5, 20, 21, 1000, i32::MAX]);
    let outcome = prop::sample::select(vec![
        None,
        Some("Accepted"),
        Some("Adopted"),
        Some("Refused"),
        Some("RequestRefused"),
        Some("Throttled"),
        Some("NotSent"),
        Some("Blocked"),
        Some("Unknown"),
        Some("UnknownFinal"),
    ]);
    let reason = prop::option::of(prop_oneof![
        Just("Verified".to_owned()),
        Just("AttemptsExhausted".to_owned()),
        any::<String>()
    ]);
    let attempt = (number.clone(), any::<String>(), time.clone(), outcome.clone(), any::<i64>(), prop::option::of(any::<String>()))
        .prop_map(|(number, id, signed, outcome, generation, fingerprint)| json!({
            "number": number, "id": id, "signedAt": signed, "outcome": outcome, "generation": generation,
            "secret": {"uid": "u", "resourceVersion": id}, "codeFingerprint": fingerprint,
        }));
    let entry = (number.clone(), any::<String>(), time.clone(), outcome).prop_map(|(number, id, at, outcome)| json!({
        "number": number, "attemptId": id, "finishedAt": at, "outcome": outcome.unwrap_or("Refused"),
    }));
    (
        (reason, prop::option::of(attempt), prop::collection::vec(entry, 0..25)),
        (prop::option::of(number), prop::option::of(time), any::<Option<i64>>(), any::<Option<String>>()),
    ).prop_map(|((reason, attempt, history), (limit, next, generation, token))| {
        let mut status = json!({
            "reason": reason, "attempt": attempt, "history": history, "attemptLimit": limit,
            "nextAttemptAt": next, "observedGeneration": generation, "lastHandledRetryToken": token,
        });
        // Absent, not null: the operator's serialisers never write null.
        status.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        status
    })
}

fn an_object_with(status: &str) -> String {
    format!(
        r#"{{"apiVersion":"phonemigration.dev/v1alpha1","kind":"PhoneMigration",
        "metadata":{{"name":"n","namespace":"ns","uid":"u","resourceVersion":"5","generation":2}},
        "spec":{{"custSpaceId":"1","phoneNumber":"8613800001234","verifyCodeSecretRef":{{"name":"s"}}}},
        "status":{status}}}"#
    )
}

fn code(digits: &[u8]) -> CodeReading {
    let values = SecretValues {
        version: SecretVersion {
            uid: "u".into(),
            resource_version: "1".into(),
        },
        code: Some(Zeroizing::new(digits.to_vec())),
        expires_at: None,
    };
    CodeReading::new(
        Some(values),
        &FingerprintKey::new([1; 32]),
        "a",
        "8613800001234",
        CodeDigits::new(4, 8).unwrap(),
    )
}

const NUMBER: &str = "8613800001234";

/// Decides on it with a granted turn: nothing is claimed over an open attempt.
fn decide_on(object: &PhoneMigration, stored: &Ledger) {
    let reads = Reads::none(now());
    let reading = code(b"123456");
    let validity = Duration::from_secs(1860);
    let ledger = import(stored.clone(), &[], Some(object), validity, now());
    for turn in [
        TurnState::None,
        TurnState::Granted,
        TurnState::Waiting(Duration::MAX),
    ] {
        let observed = Observed {
            object,
            ledger: &ledger,
            neighbours: &[],
            task_runs: false,
            abandoned: false,
            overdue: None,
            code: Some(&reading),
            turn,
            hold: None,
            held_since: None,
            braked: false,
            reads: &reads,
            asked: false,
        };
        let next = decide(&observed, now()).next;
        let barred = ledger.unusable.is_some() || ledger.open().is_some();
        assert!(
            !(barred && matches!(next, Next::Claim | Next::Enqueue(_))),
            "{next:?}"
        );
    }
}

const LEDGER_NAMES: &[&str] = &[
    "spec",
    "phoneNumber",
    "summary",
    "entries",
    "released",
    "attemptId",
    "fingerprint",
    "signedAt",
    "finalAt",
    "custSpaceId",
    "migration",
    "uid",
    "outcome",
    "imported",
    "finishedAt",
];

fn a_ledger_with(fields: &str) -> String {
    format!(
        r#"{{"apiVersion":"phonemigration.dev/v1alpha1","kind":"CodeLedger",
        "metadata":{{"name":"n","uid":"u","resourceVersion":"5"}},
        "spec":{{"phoneNumber":"{NUMBER}"}},{fields}}}"#
    )
}

/// An entry of a ledger with this value under `field`.
fn an_entry_with(field: &str, value: &Value) -> String {
    let mut entry = json!({
        "attemptId": "a", "fingerprint": "k:f", "custSpaceId": "1",
        "signedAt": "2026-11-23T12:00:00Z", "finalAt": "2026-11-23T12:32:00Z",
        "migration": {"namespace": "ns", "name": "n", "uid": "u", "generation": 1},
    });
    entry[field] = value.clone();
    a_ledger_with(&format!(r#""entries":[{entry}]"#))
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_status_is_parsed_or_set_apart(status in a_json(NAMES), members in an_object(NAMES, a_json(NAMES))) {
        for status in [status, members] {
            let body = an_object_with(&status);
            // The guard also accepts two members of one name and takes the last; the type does not.
            let guarded = serde_json::from_str::<DeserializeGuard<PhoneMigration>>(&body);
            let direct = serde_json::from_str::<PhoneMigration>(&body);
            if let (Ok(guarded), true) = (guarded, direct.is_ok()) {
                prop_assert!(guarded.0.is_ok());
            }
            if let Ok(object) = direct {
                decide_on(&object, &Ledger::default());
            }
        }
    }

    #[test]
    fn any_damaged_object_is_parsed_or_refused(body in damaged(a_json(NAMES).prop_map(|status| an_object_with(&status)))) {
        if let Ok(object) = serde_json::from_slice::<PhoneMigration>(&body) {
            decide_on(&object, &Ledger::default());
        }
        let _ = serde_json::from_slice::<DeserializeGuard<PhoneMigration>>(&body);
    }

    /// A ledger is entirely of this version, or nothing is sent for its number.
    #[test]
    fn any_ledger_is_parsed_or_not_used(
        members in an_object(LEDGER_NAMES, a_json(LEDGER_NAMES)), body in damaged(a_json(LEDGER_NAMES).prop_map(|entries| {
            a_ledger_with(&format!(r#""entries":{entries}"#))
        })), status in a_status(),
    ) {
        let object: PhoneMigration = serde_json::from_str(&an_object_with(&status.to_string())).unwrap();
        for body in [members.into_bytes(), body] {
            if let Ok(ledger) = serde_json::from_slice::<CodeLedger>(&body) {
                decide_on(&object, &Ledger::stored(Some(&ledger), NUMBER, now()));
            }
        }
    }

    #[test]
    fn any_word_but_ours_is_no_outcome_of_a_ledger(word in prop_oneof![any::<String>(), "[A-Z][a-zA-Z]{4,12}"]) {
        let parsed = serde_json::from_str::<CodeLedger>(&an_entry_with("outcome", &json!(word)));
        prop_assert_eq!(parsed.is_ok(), Outcome::parse(&word).is_some());
        for outcome in Outcome::ALL {
            let body = an_entry_with("outcome", &json!(outcome.as_str()));
            let ledger: CodeLedger = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(ledger.spec.entries[0].outcome, Some(outcome));
        }
    }

    /// A status that is read and written back is equivalent, and a second time identical.
    #[test]
    fn a_status_survives_being_written(status in a_status()) {
        let read: PhoneMigrationStatus = serde_json::from_value(status.clone()).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        let again: PhoneMigrationStatus = serde_json::from_value(written.clone()).unwrap();
        prop_assert_eq!(&again, &read);
        prop_assert_eq!(serde_json::to_value(&again).unwrap(), written);
        let body = an_object_with(&status.to_string());
        decide_on(&serde_json::from_str(&body).unwrap(), &Ledger::default());
    }

    #[test]
    fn any_token_and_annotation_is_taken_within_the_bounds(token in any::<String>(), asked in any::<String>(), times in 0..300usize) {
        let request = UserRequest {
            retry_token: token.repeat(times), requested_at: Some(asked.repeat(times)), permit: Permit::default(),
        };
        let stamp = Stamp { generation: i64::MAX, now: now(), request, is_reconcile: true };
        let object: PhoneMigration = serde_json::from_str(&an_object_with("null")).unwrap();
        let new = apply(&object, &Fact::State(State::Suspended), &Ledger::default(), &stamp).unwrap();
        for kept in [new.last_handled_retry_token, new.last_handled_reconcile_at].into_iter().flatten() {
            prop_assert!(kept.chars().count() <= 128);
            prop_assert!(token.repeat(times).starts_with(&kept) || asked.repeat(times).starts_with(&kept));
        }
        prop_assert!(quoted(&asked).len() >= asked.len());
    }

    #[test]
    fn times_of_any_size_are_reckoned_with(
        second in -377_705_023_201i64..=253_402_207_200, validity in any::<u64>(), failures in any::<u32>(),
    ) {
        let signed = Timestamp::from_second(second).unwrap();
        prop_assert!(final_at(signed, Duration::from_secs(validity)) >= signed);
        prop_assert!((Duration::from_secs(5)..=Duration::from_secs(300)).contains(&back_off(failures)));
        let poll = Interval::of(Duration::from_secs(validity));
        prop_assert!(Duration::from_secs(5) <= poll.after && poll.after < poll.within);
        prop_assert!(poll.within <= Duration::from_secs(300));
    }
}
