//! Resources whose code is not spent yet: each state, what leads out of it, and what does not.

use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::code::{CodeReading, InvalidCode};
use phone_migration_operator::crd::PhoneMigrationStatus;
use phone_migration_operator::decide::{Decision, Elsewhere, Next, Owner, TurnState};
use phone_migration_operator::fact::{Fact, HoldCause, NoCode, QueuedFor};
use phone_migration_operator::reads::Purpose;
use phone_migration_operator::reason::Outcome;

use super::world::*;

fn says(world: &World, fact: Fact, next: Next) {
    let decision = world.decide();
    let expected = Decision {
        fact: Some(fact),
        next,
    };
    assert_eq!(decision, expected, "in {}", world.reason());
}

fn quietly(world: &World, next: Next) {
    let decision = world.decide();
    assert_eq!(
        decision,
        Decision { fact: None, next },
        "in {}",
        world.reason()
    );
}

/// Every state that a resource without a spent code may be in.
fn fresh_states() -> Vec<World> {
    let mut states: Vec<World> = [
        "SecretNotFound",
        "KeyNotFound",
        "InvalidCode",
        "CodeExpired",
        "Queued",
        "DuplicatePhoneNumber",
        "Suspended",
        "CredentialsInvalid",
        "AccountError",
        "ClockSkew",
        "Throttled",
    ]
    .map(|reason| World::new(seen(reason)))
    .into();
    states.push(World::new(PhoneMigrationStatus::default()));
    for outcome in [Outcome::Throttled, Outcome::NotSent, Outcome::Blocked] {
        states.push(tried("Throttled", 1, &code("111111"), Some(outcome)));
    }
    states
}

#[test]
fn what_the_secret_holds_decides_in_every_state_without_a_spent_code() {
    for state in fresh_states() {
        quietly(&state, Next::ReadCode);
        for (reading, cause, reason) in [
            (
                CodeReading::SecretNotFound,
                NoCode::SecretNotFound,
                "SecretNotFound",
            ),
            (CodeReading::KeyNotFound, NoCode::KeyNotFound, "KeyNotFound"),
            (
                CodeReading::Invalid(InvalidCode::NotDigits),
                NoCode::NotDigits,
                "InvalidCode",
            ),
            (
                CodeReading::Invalid(InvalidCode::ExpiryNotATime),
                NoCode::ExpiryNotATime,
                "InvalidCode",
            ),
        ] {
            let world = state.clone().reading(reading);
            says(&world, Fact::NoCode(cause), Next::Poll);
            assert_eq!(world.step().1.reason(), reason);
        }
        let mut expired = code("111111");
        expired.expires_at = Some(now());
        let world = state.clone().code(&expired);
        says(&world, Fact::NoCode(NoCode::Expired), Next::Poll);
        assert_eq!(world.step().1.reason(), "CodeExpired");
        let mut valid = code("111111");
        valid.expires_at = Some(later(1));
        let world = state.code(&valid);
        quietly(&world, Next::Claim(1));
        quietly(&world.turn(TurnState::None), Next::Enqueue(Some(later(1))));
    }
}

#[test]
fn suspend_stops_every_state_without_a_spent_code() {
    for state in fresh_states() {
        let world = state.code(&code("111111")).suspend(true);
        says(&world, Fact::Suspended, Next::Rest);
        let (_, after) = world.step();
        assert_eq!(after.reason(), "Suspended");
        assert_eq!(after.status().observed_generation, Some(2));
        quietly(&after.suspend(false), Next::Claim(1));
    }
}

#[test]
fn a_duplicate_waits_and_names_only_a_neighbour() {
    for state in fresh_states() {
        for owner in [None, Some("store-1".to_owned())] {
            let world = state
                .clone()
                .code(&code("111111"))
                .with(|w| w.owner = Owner::Other(owner.clone()));
            says(&world, Fact::Duplicate { owner }, Next::Poll);
            let (_, after) = world.step();
            assert_eq!(after.reason(), "DuplicatePhoneNumber");
            // The owner goes.
            quietly(&after.with(|w| w.owner = Owner::Us), Next::Claim(1));
        }
    }
}

#[test]
fn a_deleted_resource_is_left_alone_in_every_state() {
    let c = code("111111");
    let open = tried("Verifying", 1, &c, None);
    let refused = spent("CodeRejected", &[&c], Outcome::Refused).code(&code("222222"));
    for state in fresh_states().into_iter().chain([open, refused]) {
        let world = state.code(&code("333333")).with(|w| {
            w.object.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
        });
        quietly(&world, Next::Rest);
    }
}

#[test]
fn waiting_is_shown_after_a_second_with_its_cause() {
    let waiting = |reason: &str, ms| {
        World::new(seen(reason))
            .code(&code("111111"))
            .turn(TurnState::Waiting(Duration::from_millis(ms)))
    };
    quietly(
        &waiting("SecretNotFound", 400),
        Next::Stay(Some(now() + Duration::from_millis(600))),
    );
    says(
        &waiting("SecretNotFound", 1000),
        Fact::Queued(QueuedFor::Turn),
        Next::Stay(None),
    );
    for cause in HoldCause::ALL {
        let held = waiting("Queued", 1000).with(|w| w.hold = Some(cause));
        says(
            &held,
            Fact::Queued(QueuedFor::Hold(cause)),
            Next::Stay(None),
        );
        // A state that says more is kept while the hold lasts, and not for longer.
        for reason in [
            "CredentialsInvalid",
            "AccountError",
            "ClockSkew",
            "Throttled",
        ] {
            let held = waiting(reason, 1000).with(|w| w.hold = Some(cause));
            quietly(&held, Next::Stay(None));
            says(
                &waiting(reason, 1000),
                Fact::Queued(QueuedFor::Turn),
                Next::Stay(None),
            );
        }
    }
    let pausing = waiting("Throttled", 1000).with(|w| {
        let status = w.object.status.as_mut().unwrap();
        status.next_attempt_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(later(
            9,
        )));
    });
    quietly(&pausing, Next::Stay(None));
    // The wait ends when the code expires.
    let mut expiring = code("111111");
    expiring.expires_at = Some(later(30));
    let world = waiting("Queued", 5000).code(&expiring);
    says(
        &world,
        Fact::Queued(QueuedFor::Turn),
        Next::Stay(Some(later(30))),
    );
    let world = world.with(|w| w.now = later(30));
    says(&world, Fact::NoCode(NoCode::Expired), Next::Poll);
}

#[test]
fn a_refused_account_backs_off_alone_and_never_for_longer_than_five_minutes() {
    let blocked = |until: Timestamp| {
        tried("AccountError", 1, &code("111111"), Some(Outcome::Blocked))
            .code(&code("111111"))
            .with(|w| {
                let status = w.object.status.as_mut().unwrap();
                status.next_attempt_at =
                    Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(until));
            })
    };
    quietly(&blocked(later(20)), Next::At(later(20)));
    quietly(&blocked(later(300)), Next::At(later(300)));
    // Forged: nobody is locked out.
    quietly(&blocked(later(301)), Next::Claim(1));
    quietly(&blocked(now()), Next::Claim(1));
}

#[test]
fn a_code_that_is_known_elsewhere_is_waited_for_or_taken_over() {
    let c = code("111111");
    for state in fresh_states() {
        let open = state
            .clone()
            .code(&c)
            .with(|w| w.elsewhere = Some(Elsewhere::Open));
        says(
            &open,
            Fact::Queued(QueuedFor::OtherAttempt),
            Next::At(later(5)),
        );
        for outcome in [
            Outcome::Refused,
            Outcome::RequestRefused,
            Outcome::UnknownFinal,
            Outcome::Accepted,
        ] {
            let mut known = entry(1, &c, outcome);
            known.attempt_id = "elsewhere".into();
            let ended = state.clone().code(&c).with(|w| {
                w.elsewhere = Some(Elsewhere::Ended {
                    code: known.clone(),
                    final_at: now(),
                })
            });
            quietly(&ended, Next::ReadStatus(Purpose::TakeOver));
            let after = ended
                .after(&Fact::TookOver(known))
                .with(|w| w.elsewhere = None);
            let reason = match outcome {
                Outcome::Refused => "CodeRejected",
                Outcome::RequestRefused => "RequestRejected",
                Outcome::UnknownFinal => "OutcomeUnknown",
                _ => "Verified",
            };
            assert_eq!(after.reason(), reason);
            assert!(!matches!(
                after.decide().next,
                Next::Claim(_) | Next::Enqueue(_)
            ));
        }
    }
}

#[test]
fn a_released_attempt_gives_its_number_back() {
    let c = code("111111");
    for outcome in [Outcome::Throttled, Outcome::NotSent, Outcome::Blocked] {
        let first = tried("Queued", 1, &c, Some(outcome)).code(&c);
        quietly(&first, Next::Claim(1));
        let third = spent(
            "CodeRejected",
            &[&code("777777"), &code("888888")],
            Outcome::Refused,
        )
        .with(|w| {
            w.object.status.as_mut().unwrap().attempt = Some(attempt(3, &c, Some(outcome)));
        })
        .code(&c);
        quietly(&third, Next::Claim(3));
    }
}

#[test]
fn every_request_to_look_again_is_handled_once() {
    for state in fresh_states() {
        for turn in [
            TurnState::Waiting(Duration::from_secs(2)),
            TurnState::Granted,
        ] {
            let world = state.clone().reading(CodeReading::KeyNotFound).turn(turn);
            let (_, asked) = world.request("one").step();
            assert_eq!(
                asked.status().last_handled_reconcile_at.as_deref(),
                Some("one")
            );
            let (_, again) = asked.step();
            assert_eq!(again.status(), asked.status());
        }
    }
}
