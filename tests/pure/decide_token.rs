//! retryToken and the limit of attempts: what a person may let through, and for how long.

use std::time::Duration;

use phone_migration_operator::code::{CodeReading, InvalidCode};
use phone_migration_operator::decide::{Elsewhere, Next, Owner, TurnState};
use phone_migration_operator::fact::{Fact, Setback, Told};
use phone_migration_operator::reason::Outcome;

use super::world::*;

const ENDS: [(&str, Outcome); 3] = super::decide_spent::ENDS;
const STAY: Option<Fact> = super::decide_spent::STAY;
const AMBIGUOUS: Option<Fact> = super::decide_spent::AMBIGUOUS;

use super::decide_spent::exhausted;

#[test]
fn a_token_lets_a_code_through_whose_sameness_cannot_be_told_and_survives_the_queue() {
    let old = code_of(1, "111111", "1");
    let maybe = code_of(2, "222222", "2");
    for (reason, outcome) in ENDS {
        let world = spent(reason, &[&old], outcome).code(&maybe);
        assert_eq!(
            (world.decide().fact, world.decide().next),
            (AMBIGUOUS, Next::Poll)
        );
        let (_, told) = world.step();
        assert!(told.status().conditions[0].message.contains("retryToken"));
        let asked = told
            .token("go")
            .turn(TurnState::Waiting(Duration::from_secs(2)));
        let (decision, queued) = asked.step();
        assert_eq!(
            (decision.next, queued.reason()),
            (Next::Stay(None), "Queued")
        );
        let granted = queued.turn(TurnState::Granted);
        assert_eq!(granted.decide().next, Next::Claim(2));
        // Held back by the account: the permission stays.
        let held = granted.after(&Fact::HeldBack {
            setback: Setback::Credentials,
            told: Told::default(),
            next: None,
        });
        assert_eq!(held.decide().next, Next::Claim(2));
        // Suspended and back: the same.
        let (_, suspended) = held.suspend(true).step();
        assert_eq!(suspended.reason(), "Suspended");
        assert_eq!(suspended.suspend(false).decide().next, Next::Claim(2));
    }
}

#[test]
fn a_token_is_handled_by_the_first_look_after_it_changed() {
    let old = code_of(1, "111111", "1");
    // First the token, while the Secret still holds the spent code; then a new code.
    let (_, looked) = spent("CodeRejected", &[&old], Outcome::Refused)
        .code(&old)
        .token("go")
        .step();
    assert_eq!(
        looked.status().last_handled_retry_token.as_deref(),
        Some("go")
    );
    assert_eq!(
        looked.code(&code_of(2, "222222", "2")).decide().fact,
        AMBIGUOUS
    );
    // A token that is there at the first look is not a change.
    let new = spent("CodeRejected", &[&old], Outcome::Refused)
        .code(&code_of(2, "222222", "2"))
        .with(|w| {
            w.object.spec.retry_token = "there from the start".into();
            w.object.status.as_mut().unwrap().last_handled_retry_token = None;
        });
    assert_eq!(new.decide().fact, AMBIGUOUS);
}

#[test]
fn a_token_changed_during_the_attempt_is_handled_after_it() {
    let old = code_of(1, "111111", "1");
    let open = tried("Verifying", 1, &old, None).token("go");
    let (_, seen) = open.step();
    assert_eq!(seen.status().last_handled_retry_token.as_deref(), Some(""));
    let ended = seen.after(&Fact::Refused {
        outcome: Outcome::Refused,
        told: Told::default(),
    });
    let world = ended.code(&code_of(2, "222222", "2"));
    assert_eq!(world.decide().next, Next::Claim(2));
}

#[test]
fn a_code_that_was_let_through_and_released_needs_no_second_permission() {
    let (old, maybe) = (code_of(1, "111111", "1"), code_of(2, "222222", "2"));
    let mut world = spent("CodeRejected", &[&old], Outcome::Refused).code(&maybe);
    world.object.status.as_mut().unwrap().attempt =
        Some(attempt(2, &maybe, Some(Outcome::NotSent)));
    assert_eq!(world.decide().next, Next::Claim(2));
    let another = world.clone().code(&code_of(2, "333333", "3"));
    assert_eq!(another.decide().fact, AMBIGUOUS);
    let spent_code = world.code(&old);
    assert_eq!(spent_code.decide().fact, STAY);
}

#[test]
fn exhausted_attempts_need_a_changed_token_found_in_that_state() {
    let new = code("222222");
    let world = exhausted(5).code(&new);
    assert_eq!(
        (world.decide().fact, world.decide().next),
        (Some(Fact::Exhausted), Next::Poll)
    );
    let raised = world.clone().token("go");
    assert_eq!(raised.decide().next, Next::Claim(6));
    // By way of the queue, of a hold, of a Secret that holds nothing new.
    let (_, queued) = raised
        .clone()
        .turn(TurnState::Waiting(Duration::from_secs(2)))
        .step();
    assert_eq!(
        (queued.reason(), queued.status().attempt_limit),
        ("Queued", Some(10))
    );
    assert_eq!(
        queued.turn(TurnState::Granted).decide().next,
        Next::Claim(6)
    );
    let mut expired = new.clone();
    expired.expires_at = Some(ago(1));
    for unusable in [
        raised.clone().reading(CodeReading::SecretNotFound),
        raised
            .clone()
            .reading(CodeReading::Invalid(InvalidCode::NotDigits)),
        raised.clone().code(&code("100000")),
        raised.clone().code(&expired),
        raised.clone().with(|w| w.owner = Owner::Other(None)),
        raised.clone().with(|w| {
            w.elsewhere = Some(Elsewhere::Ended {
                code: entry(9, &new, Outcome::Refused),
                final_at: now(),
            })
        }),
    ] {
        let (decision, after) = unusable.step();
        assert_eq!(decision.fact, Some(Fact::LimitRaised));
        assert_eq!(
            (after.reason(), after.status().attempt_limit),
            ("CodeRejected", Some(10))
        );
        let after = after
            .with(|w| (w.owner, w.elsewhere) = (Owner::Us, None))
            .code(&new);
        assert_eq!(after.decide().next, Next::Claim(6));
    }
    // Not found in this state: the person was not told yet.
    let untold = world.clone().token("go").with(|w| {
        w.object.status.as_mut().unwrap().reason = Some("CodeRejected".into());
    });
    assert_eq!(untold.decide().fact, Some(Fact::Exhausted));
    // At 20 for good, and never beyond.
    assert_eq!(
        exhausted(20).code(&new).token("go").decide().fact,
        Some(Fact::Exhausted)
    );
    let (_, last) = exhausted(18).code(&code("100000")).token("go").step();
    assert_eq!(last.status().attempt_limit, Some(20));
}
