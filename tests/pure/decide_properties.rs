//! What no status, code, turn or time may bring about.

use phone_migration_operator::code::{CodeReading, Sameness, sameness};
use phone_migration_operator::crd::MAX_ATTEMPTS;
use phone_migration_operator::decide::{
    Next, Owner, TurnState, is_open, is_verified, token_changed,
};
use phone_migration_operator::status::{attempt_limit, codes_spent};
use proptest::prelude::*;

use super::arbitrary::*;
use super::world::*;

fn goes_on(next: Next) -> bool {
    match next {
        Next::Claim(_) | Next::Enqueue(_) | Next::Stay(_) => true,
        Next::Rest | Next::At(_) | Next::Poll | Next::ReadCode | Next::ReadStatus(_) => false,
    }
}

/// Every reason not to submit, judged apart from `decide`.
fn forbidden(world: &World) -> Option<&'static str> {
    let status = world.status();
    let Some(CodeReading::Usable(code)) = &world.code else {
        return Some("no code");
    };
    let told = status.reason.as_deref() == Some("AttemptsExhausted");
    let asked = token_changed(&world.object, status);
    let raised = told && asked && codes_spent(status) < MAX_ATTEMPTS;
    let fingerprints = status.history.iter().map(|e| &e.code_fingerprint);
    let checks = [
        (is_open(status), "an attempt is open"),
        (is_verified(status), "verified"),
        (world.object.spec.suspend, "suspended"),
        (
            world.object.metadata.deletion_timestamp.is_some(),
            "being deleted",
        ),
        (sameness(code, status) == Sameness::Same, "the same code"),
        (
            fingerprints.flatten().any(|f| *f == code.fingerprint),
            "in the history",
        ),
        (code.expires_at.is_some_and(|at| at <= world.now), "expired"),
        (world.owner != Owner::Us, "another owns the number"),
        (world.elsewhere.is_some(), "known elsewhere"),
        (
            codes_spent(status) >= attempt_limit(status) && !raised,
            "too many codes",
        ),
    ];
    checks.iter().find(|(holds, _)| *holds).map(|(_, why)| *why)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_on_against_a_reason_not_to(world in a_world()) {
        let decision = world.decide();
        if goes_on(decision.next) {
            prop_assert_eq!(forbidden(&world), None, "{:?}", decision);
        }
        if let Next::Claim(number) = decision.next {
            prop_assert!(world.turn == TurnState::Granted);
            prop_assert_eq!(number, codes_spent(world.status()) + 1);
            prop_assert!((1..=MAX_ATTEMPTS).contains(&number));
        }
    }

    /// Writing what was decided, and deciding again, brings nothing new to write: no loops.
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
            prop_assert!(writes <= 3, "still writing: {:?} {:?}", decision, after.status());
            world = after;
        }
        // The same inputs at the same moment: nothing is left to say.
        let (_, again) = world.step();
        prop_assert_eq!(again.status(), world.status());
    }

    /// A token handled once lets nothing through a second time, and a request is handled.
    #[test]
    fn what_was_asked_for_is_acknowledged(world in a_world()) {
        let asked = world.request("again");
        let (decision, after) = asked.step();
        let wrote = after.status() != asked.status();
        if wrote {
            prop_assert_eq!(after.status().last_handled_reconcile_at.as_deref(), Some("again"));
        } else {
            let pending = asked.object.metadata.deletion_timestamp.is_some()
                || goes_on(decision.next)
                || matches!(decision.next, Next::ReadCode | Next::ReadStatus(_));
            prop_assert!(pending, "{:?}", decision);
        }
    }
}

/// The properties above would hold of a `decide` that never goes on.
#[test]
fn going_on_is_not_rare() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let claims = (0..4000)
        .filter(|_| {
            let world = a_world().new_tree(&mut runner).unwrap().current();
            matches!(world.decide().next, Next::Claim(_))
        })
        .count();
    assert!(claims > 50, "only {claims} of 4000 claim");
}
