//! A user's requests by requestedAt and retryToken: one status read for each, and when the operator
//! acknowledges which. Statuses that a read disproves, and resources that were restored without
//! one.

use phone_migration_operator::api::crd::{PhoneMigrationStatus, RESTORED};
use phone_migration_operator::api::reason::Reason;
use phone_migration_operator::domain::code::{CodeDigits, CodeReading, InvalidCode};
use phone_migration_operator::domain::decide::{Next, TurnState};
use phone_migration_operator::domain::fact::{Because, CamsResult, Exhausted, Fact, NoCode, State};
use phone_migration_operator::domain::ledger::Unusable;
use phone_migration_operator::domain::reads::Purpose;
use phone_migration_operator::operator::state::memory::Asked;

use super::decide_table::{quietly, says};
use super::world::*;

const READ: Next = Next::ReadStatus(Purpose::Asked);

#[test]
fn one_read_is_made_in_every_state_in_which_no_code_may_go() {
    let six = CodeDigits::default();
    let exhausted = refused()
        .change_status(|s| s.attempt_limit = Some(1))
        .code(&code("222222"));
    let unknown = entry("a", &code("111111"), FINAL);
    let rows = [
        ("no Secret", fresh().reading(CodeReading::SecretNotFound)),
        ("no right", fresh().reading(CodeReading::SecretForbidden)),
        ("no key", fresh().reading(CodeReading::KeyNotFound)),
        (
            "no code",
            fresh().reading(CodeReading::Invalid(InvalidCode::NotDigits(six))),
        ),
        ("expired", fresh().code(&code_until("222222", ago(1)))),
        ("refused", refused().code(&code("111111"))),
        (
            "refused, no Secret",
            refused().reading(CodeReading::SecretNotFound),
        ),
        ("exhausted", exhausted),
        (
            "final unknown",
            World::new("OutcomeUnknown", vec![unknown])
                .with(|w| w.reads.last = Some(now()))
                .code(&code("111111")),
        ),
        ("suspended", fresh().suspend(true)),
        ("refused and suspended", refused().suspend(true)),
        ("of another key", refused().code(&code_of(2, "222222", "9"))),
        (
            "unusable ledger",
            fresh().with(|w| w.ledger.unusable = Some(Unusable::TwoOpen)),
        ),
    ];
    for (what, world) in rows {
        let before = world.decide();
        assert_ne!(before.next, READ, "{what}");
        let asked = world.asked().decide();
        assert_eq!(asked.next, READ, "{what}");
        assert_eq!(asked.fact, before.fact, "{what}");
    }
}

#[test]
fn where_a_code_may_go_the_read_before_its_attempt_is_that_read() {
    let world = refused().code(&code("222222")).asked();
    for (turn, next) in [
        (TurnState::None, Next::Enqueue(None)),
        (TurnState::Granted, Next::Claim),
    ] {
        quietly(&world.clone().turn(turn), next);
    }
    // An open entry is observed now, whichever process made it.
    let mut open = entry("b", &code("222222"), UNKNOWN);
    for uid in [US, OTHER] {
        open.migration.uid = uid.into();
        let world = World::new("Queued", vec![open.clone()]);
        assert_eq!(world.decide().next, Next::Observe { now: false });
        assert_eq!(world.asked().decide().next, Next::Observe { now: true });
    }
}

#[test]
fn nothing_is_read_for_what_is_verified() {
    let world = World::new("Verified", Vec::new()).change_status(|s| s.id = Some("828".into()));
    assert_eq!(world.asked().decide().next, Next::Rest);
    // By another resource's code, which still exists: the read would find this one verified as
    // well.
    let theirs = foreign("tenant-a", entry("a", &code("111111"), ACCEPTED));
    let world = World::new("CodeRejected", vec![theirs])
        .with(|w| w.neighbours = vec![neighbour("tenant-a")])
        .asked();
    let other = world.code(&code("222222")).decide();
    assert!(
        matches!(other.fact, Some(Fact::State(State::Duplicate { .. }))),
        "{other:?}"
    );
    assert_eq!(other.next, Next::Poll);
}

/// `Finished` must be about the current code when requestedAt is acknowledged.
#[test]
fn nothing_is_acknowledged_before_the_secret_was_read() {
    let late = refused()
        .with(|w| {
            w.ledger.entries[0].outcome = FINAL;
            w.reads.last = Some(ago(3601));
        })
        .request("now");
    quietly(&late, Next::ReadStatus(Purpose::Late));
    quietly(&refused().request("now").asked(), Next::ReadCode);
    let (decision, after) = refused()
        .request("now")
        .code(&code("111111"))
        .asked()
        .step();
    assert_eq!(decision.next, READ);
    assert_eq!(
        after.status().last_handled_reconcile_at.as_deref(),
        Some("now")
    );
}

#[test]
fn each_value_owes_one_read() {
    let mut asked = Asked::default();
    let see = |asked: &mut Asked, at, token| {
        asked.see(at, token);
        std::mem::take(&mut asked.owed)
    };
    assert!(!see(&mut asked, None, None));
    assert!(see(&mut asked, Some("1"), None));
    assert!(!see(&mut asked, Some("1"), None), "not acknowledged yet");
    assert!(!see(&mut asked, None, None), "acknowledged");
    assert!(see(&mut asked, None, Some("go")));
    assert!(!see(&mut asked, None, Some("go")), "not handled yet");
    assert!(see(&mut asked, Some("2"), Some("go")));
    assert!(!see(&mut asked, None, Some("go")));
    // A read that was not made is still owed when there is no new request.
    asked.see(Some("3"), None);
    asked.see(None, None);
    assert!(asked.owed);
}

/// Restored in parts, or forged.
#[test]
fn verified_without_an_id_ends_with_the_first_read_that_says_otherwise() {
    let none = World::new("Verified", Vec::new());
    let mut accepted = entry("a", &code("111111"), ACCEPTED);
    accepted.imported = true;
    let imported = World::new("Verified", vec![accepted.clone()]);
    for world in [none, imported.clone()] {
        let world = world.code(&code("222222"));
        assert_ne!(
            world.decide().fact,
            Some(Fact::Result(CamsResult::Disproved))
        );
        let denied = world.denied();
        let (decision, after) = denied.step();
        assert_eq!(decision.fact, Some(Fact::Result(CamsResult::Disproved)));
        assert_eq!(after.reason(), Reason::Queued);
        assert_eq!(after.status().verified_at, None);
        // Then it is evaluated like any other resource.
        quietly(&after, Next::Claim);
    }
    // A code that only a status shows as accepted stays spent.
    let (_, after) = imported.denied().code(&code("111111")).step();
    assert_ne!(after.decide().next, Next::Claim);
    // CAMS's answer to the operator outweighs any read.
    accepted.imported = false;
    let ours = World::new("Verified", vec![accepted]).denied();
    assert_ne!(
        ours.decide().fact,
        Some(Fact::Result(CamsResult::Disproved))
    );
    // So does an Id.
    let with_id = World::new("Verified", Vec::new())
        .change_status(|s| s.id = Some("828".into()))
        .denied();
    quietly(&with_id, Next::Rest);
}

fn restored(status: Option<PhoneMigrationStatus>) -> World {
    World::of(status, ledger(Vec::new()))
        .with(|w| {
            let labels = w.object.metadata.labels.get_or_insert_default();
            labels.insert(RESTORED.into(), "nightly".into());
        })
        .code(&code("111111"))
}

#[test]
fn a_resource_restored_without_status_and_ledger_waits_for_a_token() {
    let waits = Fact::State(State::CodeUnknown(Because::Restored));
    let blind = restored(None);
    // The live ledger decides, so the resource takes a turn first.
    quietly(&blind.clone().turn(TurnState::None), Next::Enqueue(None));
    says(&blind, waits.clone(), Next::Poll);
    let (_, told) = blind.step();
    assert_eq!(told.reason(), Reason::CodeUnknown);
    assert!(told.status().restored_without_status);
    let looks = told.clone().turn(TurnState::None);
    says(&looks, waits.clone(), Next::Poll);
    says(&looks.code(&code("222222")), waits.clone(), Next::Poll);
    let (go, permit) = (told.token("new"), true);
    quietly(&go, Next::Claim);
    assert_eq!(go.decide().permit.unknown_passes, permit);
    // First seen without a code: the process remembers that it had no status.
    let (_, empty) = restored(None).reading(CodeReading::SecretNotFound).step();
    assert_eq!(empty.reason(), Reason::SecretNotFound);
    says(&empty.code(&code("111111")), waits, Next::Poll);
}

#[test]
fn a_restored_resource_goes_on_with_its_status_or_its_ledger() {
    quietly(&restored(Some(seen("SecretNotFound"))), Next::Claim);
    // The number's ledger shows the spent codes.
    let mut theirs = foreign("tenant-a", entry("a", &code("333333"), REFUSED));
    quietly(
        &restored(None).with(|w| w.ledger = ledger(vec![theirs.clone()])),
        Next::Claim,
    );
    // A released entry shows nothing.
    theirs.outcome = NOT_SENT;
    let world = restored(None).with(|w| w.ledger = ledger(vec![theirs]));
    says(&world, State::CodeUnknown(Because::Restored), Next::Poll);
    // A status that comes late, as Velero writes it, brings its evidence.
    let (_, told) = restored(None).step();
    let late = refused().status();
    let mut known = entry("a", &code("111111"), REFUSED);
    known.imported = true;
    let world = told.with(|w| {
        w.object.status = Some(late);
        w.ledger = ledger(vec![known]);
        w.reads.done = 1;
    });
    let decision = world.decide();
    assert!(
        matches!(decision.fact, Some(Fact::Result(CamsResult::Spent(_)))),
        "{decision:?}"
    );
    // Without the label none of this applies.
    let plain = World::of(None, ledger(Vec::new())).code(&code("111111"));
    quietly(&plain, Next::Claim);
}

/// B2: codes that other namespaces spent are shown and do not count.
#[test]
fn codes_of_other_namespaces_are_told_and_do_not_count() {
    let others = (0..3).map(|n| {
        let digits = format!("{}", 200_000 + n);
        foreign("tenant-b", entry(&format!("b{n}"), &code(&digits), REFUSED))
    });
    let own = entry("a", &code("111111"), REFUSED);
    let entries: Vec<_> = std::iter::once(own).chain(others).collect();
    let world = World::rejected(entries).code(&code("222222"));
    quietly(
        &world.clone().change_status(|s| s.attempt_limit = Some(2)),
        Next::Claim,
    );
    let fact = Fact::State(State::Exhausted(Exhausted::Limit {
        spent: 1,
        limit: 1,
        others: 3,
    }));
    let world = world.change_status(|s| s.attempt_limit = Some(1));
    says(&world, fact, Next::Poll);
    let (_, told) = world.step();
    let message = &told.status().conditions[0].message;
    let says = "1 codes were spent in this namespace, and 3 in other namespaces";
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_secret_that_may_not_be_read_hides_no_new_code_and_handles_no_token() {
    let world = refused().token("go").reading(CodeReading::SecretForbidden);
    says(&world, State::NoCode(NoCode::SecretForbidden), Next::Poll);
    let (_, told) = world.step();
    assert_eq!(told.reason(), Reason::SecretForbidden);
    assert_eq!(told.status().last_handled_retry_token.as_deref(), Some(""));
    assert_eq!(told.status().history.len(), 1);
    quietly(&told.code(&code("222222")), Next::Claim);
}
