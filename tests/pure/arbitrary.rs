//! Any status that the API server may hold, and some that it may not; any surroundings.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use phone_migration_operator::code::{Code, CodeReading, InvalidCode};
use phone_migration_operator::crd::{Attempt, PhoneMigrationStatus, SpentCode};
use phone_migration_operator::decide::{Elsewhere, Owner, TurnState};
use phone_migration_operator::fact::{
    Claim, Fact, HoldCause, NoCode, QueuedFor, Setback, Told, VerifiedBy,
};
use phone_migration_operator::reads::Reads;
use phone_migration_operator::reason::{Outcome, Reason};
use proptest::prelude::*;

use super::world::*;

/// A code as drawn: the real one has no `Debug`, which a failing property would need.
#[derive(Clone, Debug)]
pub struct Drawn {
    key: u8,
    digit: u8,
    version: u8,
    expires_at: Option<Timestamp>,
}

impl Drawn {
    fn code(&self) -> Code {
        let digits = self.digit.to_string().repeat(6);
        let mut code = code_of(self.key, &digits, &self.version.to_string());
        code.expires_at = self.expires_at;
        code
    }
}

#[derive(Clone, Debug)]
enum DrawnReading {
    Usable(Drawn),
    NotRead,
    NoSecret,
    NoKey,
    Invalid(InvalidCode),
}

impl DrawnReading {
    fn reading(&self) -> Option<CodeReading> {
        Some(match self {
            DrawnReading::Usable(drawn) => CodeReading::Usable(drawn.code()),
            DrawnReading::NotRead => return None,
            DrawnReading::NoSecret => CodeReading::SecretNotFound,
            DrawnReading::NoKey => CodeReading::KeyNotFound,
            DrawnReading::Invalid(why) => CodeReading::Invalid(*why),
        })
    }
}

/// Few digits, keys and versions, so that codes meet again.
fn a_code() -> impl Strategy<Value = Drawn> {
    let expiry = prop_oneof![4 => Just(None), 1 => a_time().prop_map(Some)];
    (1..=2u8, 1..=4u8, 1..=3u8, expiry).prop_map(|(key, digit, version, expires_at)| Drawn {
        key,
        digit,
        version,
        expires_at,
    })
}

pub fn a_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (-100_000i64..100_000).prop_map(|s| Timestamp::from_second(now().as_second() + s).unwrap()),
        1 => Just("9999-12-30T21:59:59Z".parse().unwrap()),
        1 => Just("0001-01-01T00:00:00Z".parse().unwrap()),
    ]
}

pub fn an_outcome() -> impl Strategy<Value = Outcome> {
    proptest::sample::select(vec![
        Outcome::Accepted,
        Outcome::Adopted,
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::Throttled,
        Outcome::NotSent,
        Outcome::Blocked,
        Outcome::UnknownFinal,
        Outcome::Unknown,
    ])
}

fn a_number() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 1..=6, 2 => 0..=1000, 1 => any::<i32>()]
}

fn an_attempt() -> impl Strategy<Value = Attempt> {
    (
        a_number(),
        a_code(),
        proptest::option::of(an_outcome()),
        a_time(),
        a_time(),
        any::<bool>(),
    )
        .prop_map(
            |(number, code, outcome, signed, finished, same_generation)| Attempt {
                signed_at: Time(signed),
                generation: i64::from(same_generation),
                finished_at: outcome.map(|_| Time(finished)),
                ..attempt(number, &code.code(), outcome)
            },
        )
}

pub fn an_entry() -> impl Strategy<Value = SpentCode> {
    (a_number(), a_code(), an_outcome(), a_time(), any::<bool>()).prop_map(
        |(number, code, outcome, finished, has_fingerprint)| SpentCode {
            finished_at: Time(finished),
            code_fingerprint: has_fingerprint.then(|| code.code().fingerprint),
            ..entry(number, &code.code(), outcome)
        },
    )
}

fn a_reason() -> impl Strategy<Value = Option<String>> {
    let words: Vec<_> = Reason::ALL
        .iter()
        .map(|r| Some(r.as_str().to_owned()))
        .collect();
    prop_oneof![12 => proptest::sample::select(words), 1 => Just(None), 1 => Just(Some("Nonsense".into()))]
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    // Longer than the schema allows, as an earlier CRD allowed it.
    let times = prop_oneof![8 => Just(1usize), 1 => Just(400)];
    let one = (any::<bool>(), a_time(), times);
    proptest::collection::vec(one, 4).prop_map(|values| {
        ["Ready", "Reconciling", "Stalled", "Finished"]
            .iter()
            .zip(values)
            .map(|(type_, (holds, since, times))| Condition {
                type_: (*type_).to_owned(),
                status: if holds { "True" } else { "False" }.to_owned(),
                reason: "Old".repeat(times),
                message: "old".repeat(times),
                observed_generation: Some(1),
                last_transition_time: Time(since),
            })
            .collect()
    })
}

pub fn a_status() -> impl Strategy<Value = PhoneMigrationStatus> {
    let history = prop_oneof![
        10 => proptest::collection::vec(an_entry(), 0..4),
        1 => an_entry().prop_map(|e| vec![e; 1000]),
    ];
    let limit = prop_oneof![
        6 => Just(Some(5)), 1 => Just(None), 1 => Just(Some(1000)), 1 => Just(Some(-3)), 2 => (0..=20).prop_map(Some),
    ];
    let token =
        prop_oneof![2 => Just(Some(String::new())), 1 => Just(None), 1 => Just(Some("old".into()))];
    (
        (
            a_reason(),
            proptest::option::of(an_attempt()),
            history,
            limit,
            token,
        ),
        (
            conditions(),
            proptest::option::of(a_time()),
            proptest::option::of("[0-9]{1,8}"),
            any::<bool>(),
        ),
    )
        .prop_map(
            |(
                (reason, attempt, history, attempt_limit, token),
                (conditions, next, id, current),
            )| {
                PhoneMigrationStatus {
                    observed_generation: Some(if current { 2 } else { 1 }),
                    reason,
                    attempt,
                    history,
                    attempt_limit,
                    last_handled_retry_token: token,
                    conditions,
                    next_attempt_at: next.map(Time),
                    id,
                    ..Default::default()
                }
            },
        )
}

fn a_reading() -> impl Strategy<Value = DrawnReading> {
    prop_oneof![
        8 => a_code().prop_map(DrawnReading::Usable),
        1 => Just(DrawnReading::NotRead),
        1 => Just(DrawnReading::NoSecret),
        1 => Just(DrawnReading::NoKey),
        1 => Just(DrawnReading::Invalid(InvalidCode::NotDigits)),
        1 => Just(DrawnReading::Invalid(InvalidCode::ExpiryNotATime)),
    ]
}

pub fn a_world() -> impl Strategy<Value = World> {
    let owner = prop_oneof![5 => Just(Owner::Us), 1 => Just(Owner::Other(None))];
    let elsewhere = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Elsewhere::Open)),
        1 => an_entry().prop_map(|code| Some(Elsewhere::Ended { final_at: code.finished_at.0, code })),
    ];
    let turn = prop_oneof![
        3 => Just(TurnState::Granted),
        2 => Just(TurnState::None),
        2 => (0..3000u64).prop_map(|ms| TurnState::Waiting(Duration::from_millis(ms))),
    ];
    let hold = proptest::option::of(proptest::sample::select(HoldCause::ALL.to_vec()));
    let reads = (0..12u32, proptest::option::of(0..9000u64), any::<bool>());
    (
        (a_status(), a_reading(), owner, elsewhere, turn, hold),
        (reads, any::<bool>(), any::<bool>(), any::<bool>(), 0..12u8),
    )
        .prop_map(
            |(
                (status, code, owner, elsewhere, turn, hold),
                (reads, token, asked, suspend, deleted),
            )| {
                let mut world = World::new(status);
                world.object.metadata.generation = Some(2);
                (world.code, world.owner, world.elsewhere) = (code.reading(), owner, elsewhere);
                (world.turn, world.hold) = (turn, hold);
                world.reads = Reads {
                    since: ago(9000),
                    done: reads.0,
                    last: reads.1.map(ago),
                    make_up: reads.2,
                };
                if token {
                    world.object.spec.retry_token = "go".into();
                }
                world.object.spec.suspend = suspend && token;
                if deleted == 0 {
                    world.object.metadata.deletion_timestamp = Some(Time(now()));
                }
                if asked { world.request("now") } else { world }
            },
        )
}

/// Up to what a hostile or broken service may answer.
fn a_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        3 => "[A-Za-z.]{1,30}".prop_map(Some),
        1 => Just(Some("x".repeat(10_000))),
        1 => Just(Some("🦀é".repeat(5_000))),
    ]
}

fn a_telling() -> impl Strategy<Value = Told> {
    (a_text(), a_text(), a_text()).prop_map(|(code, message, request_id)| Told {
        code,
        message,
        request_id,
    })
}

pub fn a_fact() -> impl Strategy<Value = Fact> {
    let setbacks = vec![
        Setback::Throttled,
        Setback::NotSent,
        Setback::Credentials,
        Setback::Account,
        Setback::Clock,
    ];
    let setback = proptest::sample::select(setbacks);
    let next = || proptest::option::of(a_time());
    let bys = vec![
        VerifiedBy::Call,
        VerifiedBy::ReadBefore,
        VerifiedBy::ReadAfter,
    ];
    let mut plain = vec![
        Fact::Seen,
        Fact::Suspended,
        Fact::UnknownFinal,
        Fact::Exhausted,
        Fact::LimitRaised,
        Fact::Concluded { ambiguous: false },
        Fact::Concluded { ambiguous: true },
        Fact::Queued(QueuedFor::Turn),
        Fact::Queued(QueuedFor::OtherAttempt),
        Fact::Duplicate { owner: None },
        Fact::Duplicate {
            owner: Some("n".repeat(253)),
        },
        Fact::Refingerprinted("k:f".into()),
    ];
    plain.extend(HoldCause::ALL.map(|cause| Fact::Queued(QueuedFor::Hold(cause))));
    plain.extend(
        [
            NoCode::SecretNotFound,
            NoCode::KeyNotFound,
            NoCode::NotDigits,
            NoCode::ExpiryNotATime,
            NoCode::Expired,
        ]
        .map(Fact::NoCode),
    );
    let refusals = vec![Outcome::Refused, Outcome::RequestRefused];
    prop_oneof![
        6 => proptest::sample::select(plain),
        1 => (a_number(), a_code(), a_time()).prop_map(|(number, code, signed_at)| Fact::Claimed(Claim {
            number,
            id: "0123456789abcdef0123456789abcdef".into(),
            signed_at,
            secret: code.code().secret,
            code_fingerprint: code.code().fingerprint,
        })),
        1 => (setback.clone(), a_telling(), next()).prop_map(|(setback, told, next)| Fact::Released { setback, told, next }),
        1 => (setback, a_telling(), next()).prop_map(|(setback, told, next)| Fact::HeldBack { setback, told, next }),
        2 => (proptest::sample::select(bys), a_text(), a_text(), a_text()).prop_map(
            |(by, id, phone_number, request_id)| Fact::Verified { by, id, phone_number, request_id }),
        1 => (proptest::sample::select(refusals), a_telling()).prop_map(|(outcome, told)| Fact::Refused { outcome, told }),
        1 => (a_telling(), a_time()).prop_map(|(told, until)| Fact::Unknown { told, until }),
        1 => a_text().prop_map(|text| Fact::UnknownOverdue { read_error: text.unwrap_or_default() }),
        1 => an_entry().prop_map(Fact::TookOver),
    ]
}
