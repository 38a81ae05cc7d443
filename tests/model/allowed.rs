//! I8: a status never allows more than an empty one. With any status, the allowed claims are a
//! subset of those without a status, on the same ledger; so a user who can write statuses can stop
//! codes but not send any.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::{
    Attempt, PhoneMigration, PhoneMigrationStatus, SpentCode,
};
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::domain::code::CodeReading;
use phone_migration_operator::domain::decide::{Next, Observed, TurnState, decide};
use phone_migration_operator::domain::ledger::{Ledger, import};
use phone_migration_operator::domain::reads::Reads;
use proptest::prelude::*;

use crate::state::{Entry, Out, Signed};
use crate::world::{self, VALIDITY, now};

/// An attempt, and its outcome.
type Drawn = (Signed, Out);

fn an_outcome() -> impl Strategy<Value = Option<Outcome>> {
    proptest::option::of(proptest::sample::select(Outcome::ALL.to_vec()))
}

/// Few resources, codes, keys and Secrets, so that codes meet again.
fn drawn() -> impl Strategy<Value = Drawn> {
    let signed = (0..2u8, 0..2u8, 0..2u8, 0..2u8, 0..2u8, 0..4u8);
    (signed, an_outcome()).prop_map(|((resource, life, rotation, code, key, age), outcome)| {
        let signed = Signed {
            resource,
            life,
            rotation,
            code,
            key,
            age,
        };
        (signed, Out::of(outcome))
    })
}

fn entries(drawn: &[Drawn]) -> Vec<LedgerEntry> {
    let signed: Vec<Signed> = drawn.iter().map(|(signed, _)| *signed).collect();
    let entry = |(id, (_, out)): (usize, &Drawn)| {
        let id = u8::try_from(id).unwrap();
        world::entry(
            &signed,
            Entry {
                id,
                out: *out,
                imported: false,
            },
        )
    };
    drawn.iter().enumerate().map(entry).collect()
}

/// The permissions of users, in spec and status.
#[derive(Clone, Debug, Default)]
struct UserPermission {
    attempt_limit: Option<i32>,
    last_token: Option<String>,
    tokens: Vec<String>,
    retry_token: String,
}

fn user_permission() -> impl Strategy<Value = UserPermission> {
    let limit = proptest::option::of(0..=20);
    let last = proptest::option::of(proptest::sample::select(vec!["", "go", "old"]));
    let token = proptest::sample::select(vec!["", "go"]);
    (limit, last, token).prop_map(|(attempt_limit, last, token)| UserPermission {
        attempt_limit,
        last_token: last.map(str::to_owned),
        tokens: Vec::new(),
        retry_token: token.to_owned(),
    })
}

/// A status with attempts of any resource, known to the ledger (`known`) or not.
fn a_status(known: Vec<Drawn>) -> impl Strategy<Value = PhoneMigrationStatus> {
    let reason = proptest::option::of(proptest::sample::select(Reason::ALL.to_vec()));
    let of_ledger = proptest::collection::vec((any::<bool>(), an_outcome()), known.len());
    let others = proptest::collection::vec(drawn(), 0..3);
    let times = (any::<bool>(), any::<bool>(), 0..3i64);
    (reason, of_ledger, others, times).prop_map(move |(reason, of_ledger, others, times)| {
        let all: Vec<Drawn> = known.iter().copied().chain(others).collect();
        let chosen = |n: usize| of_ledger.get(n).is_none_or(|(chosen, _)| *chosen);
        let attempts = entries(&all)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| chosen(*n));
        let attempts = attempts.map(|(n, entry)| {
            let outcome = of_ledger
                .get(n)
                .map_or(entry.outcome, |(_, outcome)| *outcome);
            LedgerEntry { outcome, ..entry }
        });
        let attempts: Vec<LedgerEntry> = attempts.collect();
        status(reason, &attempts, times)
    })
}

fn status(
    reason: Option<Reason>,
    attempts: &[LedgerEntry],
    (has_id, has_attempt, waits): (bool, bool, i64),
) -> PhoneMigrationStatus {
    let attempt = |e: &LedgerEntry| Attempt {
        number: 1,
        id: e.attempt_id.clone(),
        signed_at: e.signed_at.clone(),
        final_at: Some(e.final_at.clone()),
        secret: e.secret.clone(),
        code_fingerprint: Some(e.fingerprint.clone()),
        generation: 1,
        outcome: e.outcome,
        finished_at: e.finished_at.clone(),
    };
    let spent = |e: &LedgerEntry| SpentCode {
        number: 1,
        attempt_id: e.attempt_id.clone(),
        code_fingerprint: Some(e.fingerprint.clone()),
        outcome: e.outcome.unwrap_or(Outcome::Unknown),
        error_code: None,
        request_id: None,
        finished_at: e.signed_at.clone(),
    };
    let next = Timestamp::from_second(now().as_second() + 60 * waits).unwrap();
    PhoneMigrationStatus {
        observed_generation: Some(1),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        id: has_id.then(|| "828".into()),
        attempt: attempts.first().filter(|_| has_attempt).map(attempt),
        history: attempts.iter().skip(1).map(spent).collect(),
        next_attempt_at: (waits > 0).then_some(Time(next)),
        ..PhoneMigrationStatus::default()
    }
}

/// Whether a turn leads to a claim.
fn is_allowed(ledger: &Ledger, object: &PhoneMigration, code: &Signed) -> bool {
    let known = import(ledger.clone(), &[], Some(object), VALIDITY, now());
    let reading = CodeReading::Usable(world::code(code));
    let observed = Observed {
        object,
        ledger: &known,
        neighbours: &[],
        task_runs: false,
        abandoned: false,
        overdue: None,
        code: Some(&reading),
        turn: TurnState::Granted,
        hold: None,
        held_since: None,
        braked: false,
        // A read that comes first forbids nothing.
        reads: &Reads::none(now()).made(true, now()),
        asked: false,
    };
    decide(&observed, now()).next == Next::Claim
}

fn object(told: &UserPermission, status: PhoneMigrationStatus) -> PhoneMigration {
    let status = PhoneMigrationStatus {
        attempt_limit: told.attempt_limit,
        last_handled_retry_token: told.last_token.clone(),
        handled_retry_tokens: told.tokens.clone(),
        ..status
    };
    let mut object = world::object(0, 0, Some(status));
    object.spec.retry_token = told.retry_token.clone();
    object
}

fn a_case() -> impl Strategy<Value = (Vec<Drawn>, PhoneMigrationStatus, UserPermission, Signed)> {
    let ledger = proptest::collection::vec(drawn(), 0..7);
    ledger.prop_flat_map(|known| {
        let status = a_status(known.clone());
        (
            Just(known),
            status,
            user_permission(),
            drawn().prop_map(|(signed, _)| signed),
        )
    })
}

fn ledger(drawn: &[Drawn]) -> Ledger {
    Ledger {
        entries: entries(drawn),
        ..Ledger::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_status_allows_nothing_that_none_would_not((drawn, status, told, code) in a_case()) {
        let ledger = ledger(&drawn);
        let with = is_allowed(&ledger, &object(&told, status), &code);
        let reason = Some(Reason::AttemptsExhausted.as_str().to_owned());
        // A token answers to the status that the user has seen.
        let none = PhoneMigrationStatus::default();
        let told_so = PhoneMigrationStatus { reason, ..none.clone() };
        let without = [none, told_so].map(|status| is_allowed(&ledger, &object(&told, status), &code));
        prop_assert!(!with || without.contains(&true));
    }

    /// With limit and tokens absent no limit is raised, and no code of another key passes.
    #[test]
    fn without_tokens_nothing_is_raised((drawn, status, _, code) in a_case()) {
        let ledger = ledger(&drawn);
        let object = object(&UserPermission { retry_token: "go".into(), ..UserPermission::default() }, status);
        if is_allowed(&ledger, &object, &code) {
            let spent = ledger.spent_in("tenant-0");
            prop_assert!(spent < 5, "{spent}");
            let ours = world::code(&code).fingerprint;
            let key = |fingerprint: &str| fingerprint.split_once(':').map(|(key, _)| key.to_owned());
            prop_assert!(ledger.unreleased().all(|e| key(&e.fingerprint) == key(&ours)));
        }
    }
}

/// Without this, the properties above would also hold for a `decide` that never claims.
#[test]
fn claims_are_not_rare() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let claims = (0..2000).filter(|_| {
        let (drawn, status, told, code) = a_case().new_tree(&mut runner).unwrap().current();
        is_allowed(&ledger(&drawn), &object(&told, status), &code)
    });
    let claims = claims.count();
    assert!(claims > 40, "only {claims} of 2000 claim");
}
