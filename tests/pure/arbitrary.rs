//! Any status that the API server may hold, and some that it may not; any ledger that the rules
//! allow; any surroundings.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::{Attempt, PhoneMigrationStatus, SpentCode};
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::api::shown_number::ShownNumber;
use phone_migration_operator::domain::code::{
    Code, CodeDigits, CodeReading, InvalidCode, token_digest,
};
use phone_migration_operator::domain::decide::{ShownCode, TurnState};
use phone_migration_operator::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReleaseCause,
    ReplyDetails, SpentBy, State, VerifiedBy,
};
use phone_migration_operator::domain::ledger::{Ended, Ledger, Unusable};
use phone_migration_operator::domain::reads::{Reads, final_at};
use proptest::prelude::*;
use proptest::sample::select;

use super::world::*;

/// So many cases, or PROPTEST_CASES if that is more. Without a file of failures: the message
/// contains the minimal input, which belongs into a test.
pub fn cases(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.max(cases),
        failure_persistence: None,
        // The bound is meant for the default number of cases.
        max_global_rejects: u32::MAX,
        ..asked
    }
}

/// A drawn code: the real type has no `Debug`, which a failing property needs.
#[derive(Clone, Debug)]
pub struct Drawn {
    key: u8,
    digit: u8,
    version: u8,
    expires_at: Option<Timestamp>,
}

impl Drawn {
    pub fn code(&self) -> Code {
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
    Forbidden,
    NoKey,
    Invalid(InvalidCode),
}

impl DrawnReading {
    fn reading(&self) -> Option<CodeReading> {
        Some(match self {
            DrawnReading::Usable(drawn) => CodeReading::Usable(drawn.code()),
            DrawnReading::NotRead => return None,
            DrawnReading::NoSecret => CodeReading::SecretNotFound,
            DrawnReading::Forbidden => CodeReading::SecretForbidden,
            DrawnReading::NoKey => CodeReading::KeyNotFound,
            DrawnReading::Invalid(why) => CodeReading::Invalid(*why),
        })
    }
}

/// Few digits, keys and versions, so that codes meet again.
pub fn a_code() -> impl Strategy<Value = Drawn> {
    let key = prop_oneof![5 => Just(1u8), 1 => Just(2u8)];
    let expiry = prop_oneof![4 => Just(None), 1 => a_time().prop_map(Some)];
    (key, 1..=6u8, 1..=3u8, expiry).prop_map(|(key, digit, version, expires_at)| Drawn {
        key,
        digit,
        version,
        expires_at,
    })
}

fn a_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (-100_000i64..100_000).prop_map(|s| Timestamp::from_second(now().as_second() + s).unwrap()),
        1 => Just("9999-12-30T21:59:59Z".parse().unwrap()),
        1 => Just("0001-01-01T00:00:00Z".parse().unwrap()),
    ]
}

pub fn an_outcome() -> impl Strategy<Value = Outcome> {
    select(Outcome::ALL.to_vec())
}

/// Few, so that an attempt in a status matches its entry.
fn an_id() -> impl Strategy<Value = String> {
    (0..8u8).prop_map(|n| format!("a{n}"))
}

/// Up to the size that a hostile or broken service may answer.
fn a_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        3 => "[A-Za-z.]{1,30}".prop_map(Some),
        1 => Just(Some("x".repeat(10_000))),
        1 => Just(Some("🦀é".repeat(5_000))),
    ]
}

/// By this resource, or by the other one, here or in another namespace.
pub fn an_entry() -> BoxedStrategy<LedgerEntry> {
    let outcome = prop_oneof![1 => Just(None), 5 => an_outcome().prop_map(Some)];
    let age = 1..100_000u64;
    (
        an_id(),
        a_code(),
        outcome,
        age,
        0..4u8,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(id, code, outcome, age, whose, imported)| {
            let ours = LedgerEntry {
                signed_at: Time(ago(age)),
                final_at: Time(final_at(ago(age), VALIDITY)),
                finished_at: outcome.map(|_| Time(ago(age - 1))),
                imported,
                ..entry(&id, &code.code(), outcome)
            };
            match whose {
                0 => foreign("tenant-a", ours),
                1 => foreign("tenant-b", ours),
                _ => ours,
            }
        })
        .boxed()
}

/// Those of these entries that the rules of the schema allow, newest first.
pub fn admitted(mut entries: Vec<LedgerEntry>) -> Vec<LedgerEntry> {
    let (mut ids, mut codes, mut open) = (HashSet::new(), HashSet::new(), false);
    entries.retain(|e| {
        let fits = ids.insert(e.attempt_id.clone())
            && (e.is_released() || codes.insert(e.fingerprint.clone()))
            && !(e.is_open() && open);
        open |= fits && e.is_open();
        fits
    });
    entries.sort_by_key(|e| std::cmp::Reverse(e.signed_at.0));
    entries
}

pub fn a_ledger() -> BoxedStrategy<Ledger> {
    let entries = prop::collection::vec(an_entry(), 0..8);
    (entries, prop::collection::vec(an_id(), 0..3))
        .prop_map(|(entries, mut released)| {
            let entries = admitted(entries);
            released.retain(|id| entries.iter().all(|e| e.attempt_id != *id));
            Ledger {
                entries,
                released,
                ..Ledger::default()
            }
        })
        .boxed()
}

fn a_number() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 1..=6, 2 => 0..=1000, 1 => any::<i32>()]
}

fn an_attempt() -> impl Strategy<Value = Attempt> {
    (
        (
            a_number(),
            an_id(),
            a_code(),
            prop::option::of(an_outcome()),
        ),
        (
            a_time(),
            prop::option::of(a_time()),
            a_time(),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((number, id, code, outcome), (signed, end, finished, whole))| Attempt {
                number,
                id,
                signed_at: Time(signed),
                final_at: end.map(Time),
                secret: whole.then(|| code.code().secret),
                code_fingerprint: whole.then(|| code.code().fingerprint),
                generation: 1,
                outcome,
                finished_at: outcome.map(|_| Time(finished)),
            },
        )
}

fn a_spent_code() -> impl Strategy<Value = SpentCode> {
    (
        a_number(),
        an_id(),
        a_code(),
        an_outcome(),
        a_time(),
        any::<bool>(),
    )
        .prop_map(
            |(number, attempt_id, code, outcome, finished, whole)| SpentCode {
                number,
                attempt_id,
                code_fingerprint: whole.then(|| code.code().fingerprint),
                outcome,
                error_code: whole.then(|| "Error".into()),
                request_id: None,
                finished_at: Time(finished),
            },
        )
}

fn a_reason() -> impl Strategy<Value = Option<String>> {
    let words: Vec<_> = Reason::ALL
        .iter()
        .map(|r| Some(r.as_str().to_owned()))
        .collect();
    prop_oneof![12 => select(words), 1 => Just(None), 1 => Just(Some("Nonsense".into()))]
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    // Longer than the schema allows, as an earlier CRD allowed it.
    let times = prop_oneof![8 => Just(1usize), 1 => Just(400)];
    let one = (any::<bool>(), a_time(), times);
    prop::collection::vec(one, 4).prop_map(|values| {
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

pub fn a_status() -> BoxedStrategy<PhoneMigrationStatus> {
    let history = prop_oneof![
        10 => prop::collection::vec(a_spent_code(), 0..4),
        1 => a_spent_code().prop_map(|e| vec![e; 30]),
    ];
    let limit = prop_oneof![
        6 => Just(Some(5)), 1 => Just(None), 1 => Just(Some(1000)), 1 => Just(Some(-3)), 2 => (0..=20).prop_map(Some),
    ];
    let token =
        prop_oneof![2 => Just(Some(String::new())), 1 => Just(None), 1 => Just(Some("old".into()))];
    let handled = prop_oneof![4 => Just(Vec::new()), 1 => Just(vec![token_digest("go")])];
    (
        (
            a_reason(),
            prop::option::of(an_attempt()),
            history,
            limit,
            token,
        ),
        (
            conditions(),
            prop::option::of(a_time()),
            prop::option::weighted(0.3, "[0-9]{1,8}"),
            any::<bool>(),
            handled,
        ),
    )
        .prop_map(
            |(
                (reason, attempt, history, attempt_limit, token),
                (conditions, next, id, current, handled),
            )| PhoneMigrationStatus {
                observed_generation: Some(if current { 2 } else { 1 }),
                reason,
                attempt,
                history,
                attempt_limit,
                last_handled_retry_token: token,
                handled_retry_tokens: handled,
                conditions,
                next_attempt_at: next.map(Time),
                id,
                ..Default::default()
            },
        )
        .boxed()
}

fn a_reading() -> impl Strategy<Value = DrawnReading> {
    prop_oneof![
        12 => a_code().prop_map(DrawnReading::Usable),
        1 => Just(DrawnReading::NotRead),
        1 => Just(DrawnReading::NoSecret),
        1 => Just(DrawnReading::Forbidden),
        1 => Just(DrawnReading::NoKey),
        1 => Just(DrawnReading::Invalid(InvalidCode::NotDigits(CodeDigits::default()))),
        1 => Just(DrawnReading::Invalid(InvalidCode::ExpiryNotATime)),
    ]
}

fn unusables() -> Vec<Unusable> {
    vec![
        Unusable::Unparsable,
        Unusable::OtherNumber,
        Unusable::AheadOfTime,
        Unusable::EndsTooLate,
        Unusable::TwoOpen,
        Unusable::BeingDeleted,
        Unusable::WriteRefused,
    ]
}

pub fn a_world() -> BoxedStrategy<World> {
    let turn = prop_oneof![
        3 => Just(TurnState::Granted),
        1 => Just(TurnState::None),
        1 => (0..3000u64).prop_map(|ms| TurnState::Waiting(Duration::from_millis(ms))),
    ];
    let hold = (
        prop::option::of(select(HoldCause::ALL.to_vec())),
        prop::option::of((0..200u64).prop_map(ago)),
        any::<bool>(),
    );
    let reads = (
        0..12u32,
        prop::option::of(0..9000u64),
        prop::bool::weighted(0.1),
    );
    let unusable = prop::option::weighted(0.05, select(unusables()));
    let shown = prop::option::weighted(0.1, (an_id(), a_code()));
    let sent = prop::collection::vec(an_entry(), 0..2);
    let flags = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    (
        (
            prop::option::weighted(0.9, a_status()),
            a_ledger(),
            a_reading(),
            turn,
            hold,
        ),
        (reads, unusable, shown, sent, any::<bool>()),
        (
            flags,
            any::<bool>(),
            any::<bool>(),
            prop::bool::weighted(0.1),
            0..20u8,
        ),
    )
        .prop_map(
            |(
                (status, ledger, code, turn, hold),
                (reads, unusable, shown, sent, elsewhere),
                ((task_runs, abandoned, watched), token, asked, suspend, deleted),
            )| {
                let mut world = World::of(status, ledger);
                world.ledger.unusable = unusable;
                (world.sent, world.task_runs, world.abandoned) = (sent, task_runs, abandoned);
                world.object.metadata.generation = Some(2);
                world.code = code.reading();
                world.turn = turn;
                (world.hold, world.held_since, world.braked) = hold;
                world.reads = Reads {
                    since: ago(9000),
                    done: reads.0,
                    last: reads.1.map(ago),
                    make_up: reads.2,
                    denied: reads.0 % 2 == 1,
                };
                if watched {
                    let mut other = neighbour(if elsewhere { "tenant-b" } else { "tenant-a" });
                    other
                        .codes
                        .extend(shown.map(|(attempt_id, code)| ShownCode {
                            attempt_id,
                            fingerprint: code.code().fingerprint,
                        }));
                    world.neighbours = vec![other];
                }
                if token {
                    world.object.spec.retry_token = "go".into();
                }
                world.object.spec.suspend = suspend;
                if deleted == 0 {
                    world.object.metadata.deletion_timestamp = Some(Time(now()));
                }
                if asked { world.request("now") } else { world }
            },
        )
        .boxed()
}

pub fn an_ended() -> impl Strategy<Value = Ended> {
    (an_outcome(), a_telling(), a_text()).prop_map(|(outcome, reply, id)| Ended {
        outcome,
        error_code: reply.code,
        error_message: reply.message,
        request_id: reply.request_id,
        id,
    })
}

fn a_telling() -> impl Strategy<Value = ReplyDetails> {
    (a_text(), a_text(), a_text()).prop_map(|(code, message, request_id)| ReplyDetails {
        code,
        message,
        request_id,
    })
}

fn a_conclusion() -> impl Strategy<Value = Conclusion> {
    let by = prop_oneof![3 => Just(SpentBy::Us), 1 => a_time().prop_map(SpentBy::Other)];
    let spent = vec![
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::UnknownFinal,
    ];
    let exhausted = prop::option::weighted(0.2, an_exhausted());
    (select(spent), a_telling(), by, any::<bool>(), exhausted).prop_map(
        |(outcome, reply, by, ambiguous, exhausted)| Conclusion {
            outcome,
            reply,
            by,
            ambiguous,
            exhausted,
        },
    )
}

fn an_exhausted() -> impl Strategy<Value = Exhausted> {
    prop_oneof![
        (0..30i32, 0..=20i32, 0..60i32).prop_map(|(spent, limit, others)| Exhausted::Limit {
            spent,
            limit,
            others
        }),
        Just(Exhausted::Number {
            ledger: "0".repeat(32)
        }),
    ]
}

fn a_queue() -> impl Strategy<Value = QueuedFor> {
    prop_oneof![
        2 => Just(QueuedFor::Turn),
        1 => (1..500u32, 1..9000u32).prop_map(|(minutes, before)| QueuedFor::TurnWithin { minutes, before }),
        2 => select(HoldCause::ALL.to_vec()).prop_map(QueuedFor::Hold),
        1 => a_time().prop_map(|until| QueuedFor::OpenAttempt { until }),
    ]
}

pub fn a_fact() -> impl Strategy<Value = Fact> {
    let release_cause = select(vec![
        ReleaseCause::Throttled,
        ReleaseCause::NotSent,
        ReleaseCause::Credentials,
        ReleaseCause::Account,
        ReleaseCause::Clock,
    ]);
    let next = || prop::option::of(a_time());
    let by = select(vec![
        VerifiedBy::Call,
        VerifiedBy::ReadBefore,
        VerifiedBy::ReadAfter,
    ]);
    let no_code = vec![
        NoCode::SecretNotFound,
        NoCode::SecretForbidden,
        NoCode::KeyNotFound,
        NoCode::NotDigits(CodeDigits::default()),
        NoCode::ExpiryNotATime,
        NoCode::Expired,
    ];
    let other = prop::option::of("[a-z]{253}");
    prop_oneof![
        1 => select(vec![Fact::Unchanged, Fact::State(State::Suspended), Fact::State(State::CodeUnknown(Because::OtherKey)), Fact::State(State::StillHeld),
            Fact::State(State::CodeUnknown(Because::Restored)), Fact::Result(CamsResult::Disproved), Fact::State(State::UsedElsewhere)]),
        1 => select(no_code).prop_map(|x| State::NoCode(x).into()),
        1 => a_queue().prop_map(|x| State::Queued(x).into()),
        1 => other.prop_map(|other| Fact::State(State::Duplicate { other })),
        1 => select(unusables()).prop_map(|why| Fact::State(State::LedgerUnreadable { why, ledger: "0".repeat(32) })),
        1 => (release_cause.clone(), a_telling(), next()).prop_map(|(release_cause, reply, next)| Fact::Result(CamsResult::Released { release_cause, reply, next })),
        1 => (release_cause, a_telling(), next()).prop_map(|(release_cause, reply, next)| Fact::State(State::HeldBack { release_cause, reply, next })),
        1 => (by, a_text(), a_text(), a_text()).prop_map(
            |(by, id, shown, request_id)| {
                let phone_number = shown.map(|masked| ShownNumber { is_other: masked.len() % 2 == 0, masked });
                Fact::Result(CamsResult::Verified { by, id, phone_number, request_id })
            }),
        1 => (a_telling(), a_time()).prop_map(|(reply, until)| Fact::Result(CamsResult::Unknown { reply, until })),
        1 => a_text().prop_map(|text| Fact::Result(CamsResult::UnknownOverdue { read_error: text.unwrap_or_default() })),
        2 => a_conclusion().prop_map(|x| CamsResult::Spent(x).into()),
        1 => an_exhausted().prop_map(|x| State::Exhausted(x).into()),
    ]
}
