//! Results that no status, ledger, code, turn or time may cause.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::crd::{Attempt, MAX_ATTEMPTS, PhoneMigrationStatus, SpentCode};
use phone_migration_operator::api::reason::{CodeUse, Outcome};
use phone_migration_operator::domain::code::{CodeReading, key_id, token_digest};
use phone_migration_operator::domain::decide::{Next, TurnState};
use phone_migration_operator::domain::reads::Reads;
use proptest::prelude::*;

use super::arbitrary::*;
use super::world::*;

fn goes_on(next: Next) -> bool {
    match next {
        Next::Claim | Next::Enqueue(_) | Next::Stay(_) => true,
        Next::Rest
        | Next::At(_)
        | Next::Poll
        | Next::ReadCode
        | Next::ReadStatus(_)
        | Next::StoreImport
        | Next::SettleUnsent
        | Next::Observe { .. }
        | Next::RereadLedger => false,
    }
}

/// Whether a changed token permits something, judged without `decide`.
fn permits(world: &World) -> bool {
    let (status, token) = (world.status(), &world.object.spec.retry_token);
    let is_new = !status.handled_retry_tokens.contains(&token_digest(token));
    status
        .last_handled_retry_token
        .is_some_and(|last| last != *token)
        && is_new
}

/// Every reason not to submit, judged without `decide`.
fn forbidden(world: &World) -> Option<&'static str> {
    let status = world.status();
    let known = world.known();
    let Some(CodeReading::Usable(code)) = &world.code else {
        return Some("no code");
    };
    let used = || known.entries.iter().filter(|e| !e.is_released());
    let shown = world.neighbours.iter().flat_map(|n| &n.codes);
    let of_another_key = used().any(|e| key_id(&e.fingerprint) != key_id(&code.fingerprint));
    let here = used()
        .filter(|e| e.migration.namespace == "tenant-a")
        .count();
    let told = status.reason.as_deref() == Some("AttemptsExhausted");
    let raised = told && permits(world) && status.attempt_limit() < MAX_ATTEMPTS;
    let excludes = |e: &&_| {
        let e: &phone_migration_operator::api::code_ledger::LedgerEntry = e;
        e.code_use() == CodeUse::Verified
            && world.neighbours.iter().any(|n| n.uid == e.migration.uid)
            && (!e.imported || e.migration.namespace == "tenant-a")
    };
    let checks = [
        (known.unusable.is_some(), "the ledger cannot be used"),
        (used().any(|e| e.is_open()), "an entry is open"),
        (
            used().any(|e| e.fingerprint == code.fingerprint),
            "the code was used",
        ),
        (
            shown
                .into_iter()
                .any(|s| s.fingerprint == code.fingerprint && !known.is_released(&s.attempt_id)),
            "another status shows it",
        ),
        (of_another_key && !permits(world), "it cannot be told"),
        // An entry that only a status shows is believed until a read disproves it.
        (
            known
                .own_verified(US)
                .is_some_and(|e| !e.imported || !world.reads.denied),
            "verified by us",
        ),
        (
            status.reason.as_deref() == Some("Verified"),
            "says verified",
        ),
        (used().any(|e| excludes(&e)), "verified by another"),
        (world.object.spec.suspend, "suspended"),
        (
            world.object.metadata.deletion_timestamp.is_some(),
            "being deleted",
        ),
        (code.expires_at.is_some_and(|at| at <= world.now), "expired"),
        (
            here >= usize::try_from(status.attempt_limit()).unwrap() && !raised,
            "too many codes",
        ),
        (
            used().filter(|e| !e.imported).count() >= 40,
            "too many codes of the number",
        ),
    ];
    checks.iter().find(|(holds, _)| *holds).map(|(_, why)| *why)
}

/// The same with a status that holds only the user's permission. Reads come before a claim and
/// forbid none: all due reads were made.
fn without_status(world: &World) -> World {
    let status = world.status();
    world.clone().with(|w| {
        w.object.status = Some(PhoneMigrationStatus {
            attempt_limit: status.attempt_limit,
            last_handled_retry_token: status.last_handled_retry_token,
            handled_retry_tokens: status.handled_retry_tokens,
            ..Default::default()
        });
        w.reads = Reads {
            denied: w.reads.denied,
            ..Reads::none(w.now).made(true, w.now)
        };
        w.object.metadata.annotations = None;
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn nothing_goes_on_against_a_reason_not_to(world in a_world()) {
        let decision = world.decide();
        if goes_on(decision.next) {
            prop_assert_eq!(forbidden(&world), None, "{:?}", decision);
        }
        if decision.next == Next::Claim {
            prop_assert!(world.turn == TurnState::Granted);
        }
    }

    /// Writing the decision, and deciding again, leads to no new write: no loops.
    #[test]
    fn what_is_written_is_settled(world in a_world()) {
        let mut world = world;
        let mut writes = 0;
        loop {
            let (decision, after) = world.step();
            if after.status() == world.status() {
                break;
            }
            writes += 1;
            prop_assert!(writes <= 4, "still writing: {:?} {:?}", decision, after.status());
            world = after;
        }
    }

    /// A request is handled, or its action is on its way.
    #[test]
    fn what_was_asked_for_is_acknowledged(world in a_world()) {
        let asked = world.request("again");
        let (decision, after) = asked.step();
        if after.status() != asked.status() {
            let handled = after.status().last_handled_reconcile_at;
            prop_assert_eq!(handled.as_deref(), Some("again"));
            return Ok(());
        }
        let silent = match decision.next {
            Next::ReadCode | Next::ReadStatus(_) | Next::StoreImport | Next::SettleUnsent => true,
            Next::Rest => asked.task_runs || asked.object.metadata.deletion_timestamp.is_some(),
            // The resource is verified, and shows it.
            Next::Observe { .. } | Next::RereadLedger => asked.status().reason.as_deref() == Some("Verified"),
            next => goes_on(next),
        };
        prop_assert!(silent, "{:?}", decision);
    }
}

proptest! {
    // Few of them claim.
    #![proptest_config(cases(5000))]

    /// Invariant I8: no content of a status allows anything.
    #[test]
    fn no_status_allows_what_none_would_not(world in a_world()) {
        if world.decide().next == Next::Claim {
            let (with, without) = (world.decide(), without_status(&world).decide());
            prop_assert_eq!(without.next, Next::Claim);
            prop_assert!(!with.permit.unknown_passes || permits(&world));
        }
        let unmarked = world.change_status(|s| {
            s.attempt_limit = None;
            s.last_handled_retry_token = None;
            s.handled_retry_tokens.clear();
        });
        prop_assert_eq!(unmarked.decide().permit, Default::default());
    }
}

/// A status that was restored in parts: two entries of one code that ended in one second.
#[test]
fn two_entries_of_one_code_keep_their_places() {
    let spent = |id: &str, fingerprint: Option<String>, finished_at: &str| SpentCode {
        number: 1,
        attempt_id: id.into(),
        code_fingerprint: fingerprint,
        outcome: Outcome::Refused,
        error_code: None,
        request_id: None,
        finished_at: Time(finished_at.parse().unwrap()),
    };
    let same = code("111111").fingerprint;
    let status = PhoneMigrationStatus {
        history: vec![
            spent("a2", Some(same.clone()), "2026-11-23T12:00:00Z"),
            spent("a1", None, "2026-11-23T11:00:00Z"),
            spent("a0", Some(same), "2026-11-23T12:00:00Z"),
        ],
        attempt: Some(Attempt {
            number: 2,
            id: "a1".into(),
            signed_at: Time(now()),
            final_at: None,
            secret: None,
            code_fingerprint: None,
            generation: 1,
            outcome: REFUSED,
            finished_at: Some(Time("2026-11-23T11:00:00Z".parse().unwrap())),
        }),
        ..seen("CodeRejected")
    };
    let mut world = World::of(Some(status), ledger(Vec::new())).code(&code("222222"));
    for _ in 0..4 {
        world = world.step().1;
    }
    assert_eq!(world.step().1.status(), world.status());
}

/// Without this, the properties above would also hold for a `decide` that never goes on.
#[test]
fn going_on_is_not_rare() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let drawn = (0..1000).map(|_| a_world().new_tree(&mut runner).unwrap().current());
    let claims = drawn
        .filter(|world| world.decide().next == Next::Claim)
        .count();
    assert!(claims > 15, "only {claims} of 1000 claim");
}
