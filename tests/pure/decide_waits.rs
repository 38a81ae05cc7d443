//! The way through the queue, late reads, and the user's permission by spec.retryToken.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::MAX_ATTEMPTS;
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::domain::code::{Code, CodeDigits, CodeReading, InvalidCode};
use phone_migration_operator::domain::decide::{Next, Permit, TurnState};
use phone_migration_operator::domain::fact::{
    CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReleaseCause,
    ReplyDetails, State,
};
use phone_migration_operator::domain::reads::{Purpose, Reads};
use phone_migration_operator::domain::status::{Stamp, UserRequest, apply};

use super::decide_table::{conclusion, quietly, says};
use super::world::*;

#[test]
fn waiting_is_shown_after_a_second_with_its_cause() {
    let waiting = |reason: &str, ms| {
        World::new(reason, Vec::new())
            .code(&code("111111"))
            .turn(TurnState::Waiting(Duration::from_millis(ms)))
    };
    let soon = now() + Duration::from_millis(600);
    quietly(&waiting("SecretNotFound", 400), Next::Stay(Some(soon)));
    says(
        &waiting("CodeUnknown", 1000),
        State::Queued(QueuedFor::Turn),
        Next::Stay(None),
    );
    for cause in HoldCause::ALL {
        let hold = Fact::State(State::Queued(QueuedFor::Hold(cause)));
        let held = waiting("Queued", 1000).with(|w| w.hold = Some(cause));
        says(&held, hold.clone(), Next::Stay(None));
        // A more specific state is kept while the hold lasts, and no longer; it does not explain
        // why no ledger can be written, or why codes go one at a time.
        for reason in [
            "CredentialsInvalid",
            "AccountError",
            "ClockSkew",
            "Throttled",
        ] {
            let held = waiting(reason, 1000).with(|w| w.hold = Some(cause));
            match matches!(cause, HoldCause::Ledger | HoldCause::Brake) {
                true => says(&held, hold.clone(), Next::Stay(None)),
                false => quietly(&held, Next::Stay(None)),
            }
            says(
                &waiting(reason, 1000),
                State::Queued(QueuedFor::Turn),
                Next::Stay(None),
            );
        }
    }
    let braked = waiting("Queued", 1000).with(|w| w.braked = true);
    let alone = Fact::State(State::Queued(QueuedFor::BrakedPair));
    says(&braked, alone, Next::Stay(None));
    let held = braked.with(|w| w.hold = Some(HoldCause::Transport));
    let hold = Fact::State(State::Queued(QueuedFor::Hold(HoldCause::Transport)));
    says(&held, hold, Next::Stay(None));
    let pausing =
        waiting("Throttled", 1000).change_status(|s| s.next_attempt_at = Some(Time(later(9))));
    quietly(&pausing, Next::Stay(None));
    // The wait ends when the code expires.
    let world = waiting("Queued", 5000).code(&code_until("111111", later(30)));
    says(
        &world,
        State::Queued(QueuedFor::Turn),
        Next::Stay(Some(later(30))),
    );
    quietly(
        &world.clone().turn(TurnState::None),
        Next::Enqueue(Some(later(30))),
    );
    let world = world.with(|w| w.now = later(30));
    says(&world, State::NoCode(NoCode::Expired), Next::Poll);
}

#[test]
fn a_refused_account_backs_off_alone_and_never_for_longer_than_five_minutes() {
    let blocked = |until: Timestamp| {
        World::new(
            "AccountError",
            vec![entry("a", &code("111111"), Some(Outcome::Blocked))],
        )
        .code(&code("111111"))
        .change_status(|s| s.next_attempt_at = Some(Time(until)))
    };
    quietly(&blocked(later(20)), Next::At(later(20)));
    quietly(&blocked(later(300)), Next::At(later(300)));
    // Forged: it blocks no resource.
    quietly(&blocked(later(301)), Next::Claim);
    quietly(&blocked(now()), Next::Claim);
    // While the account is held, one resource has to be there for its probe.
    let held = blocked(later(20)).with(|w| w.hold = Some(HoldCause::Account));
    quietly(&held, Next::Claim);
    quietly(&held.turn(TurnState::None), Next::Enqueue(None));
}

#[test]
fn suspend_keeps_finished_states_and_stops_the_others() {
    let entries = || vec![entry("a", &code("111111"), REFUSED)];
    for reason in Reason::ALL.iter().filter(|r| **r != Reason::Verified) {
        let world = World::new(reason.as_str(), entries())
            .with(|w| w.reads.done = 1)
            .code(&code("222222"))
            .suspend(true);
        let (decision, after) = world.step();
        assert_eq!(decision.next, Next::Rest);
        let kept = reason.is_finished_unverified();
        assert_eq!(
            after.reason(),
            if kept { *reason } else { Reason::Suspended }
        );
        assert_eq!(after.status().observed_generation, Some(2));
        quietly(&after.suspend(false), Next::Claim);
    }
}

#[test]
fn a_final_unknown_is_read_hourly_for_a_day_and_when_a_person_asks() {
    let mut last = entry("a", &code("111111"), FINAL);
    last.finished_at = Some(Time(now()));
    // A later attempt that was released does not end it.
    let released = entry("b", &code("222222"), NOT_SENT);
    for entries in [vec![last.clone()], vec![released, last]] {
        for suspended in [false, true] {
            let world = World::new("OutcomeUnknown", entries.clone())
                .suspend(suspended)
                .code(&code("111111"));
            let asked = world.clone().asked().decide();
            assert_eq!(asked.next, Next::ReadStatus(Purpose::Asked));
            assert_ne!(world.decide().next, Next::ReadStatus(Purpose::Late));
            let due = world.clone().with(|w| w.now = later(3600));
            assert_eq!(due.decide().next, Next::ReadStatus(Purpose::Late));
            let over = world.with(|w| {
                w.now = later(25 * 3600);
                w.reads.last = Some(later(24 * 3600));
            });
            assert_ne!(over.decide().next, Next::ReadStatus(Purpose::Late));
        }
    }
}

/// A refusal may hide a success: its process died before the read, or the read had no answer.
#[test]
fn a_refusal_that_status_does_not_show_is_read_for_first_once() {
    let refused =
        World::new("Queued", vec![entry("a", &code("111111"), REFUSED)]).code(&code("222222"));
    quietly(&refused, Next::ReadStatus(Purpose::MakeUp));
    // A status with a generation and no condition would count as success.
    let new = refused.clone().with(|w| w.object.status = None);
    quietly(&new, Next::ReadStatus(Purpose::MakeUp));
    let (decision, after) = new.request("now").step();
    assert_eq!(decision.next, Next::ReadStatus(Purpose::MakeUp));
    assert_eq!(after.status().observed_generation, None);
    let read = refused
        .clone()
        .with(|w| w.reads = w.reads.made(false, now()));
    quietly(&read, Next::Claim);
    let conclusion = conclusion("a", Outcome::Refused);
    quietly(&refused.says(CamsResult::Spent(conclusion)), Next::Claim);
    let again = refused.with(|w| {
        w.reads = Reads {
            make_up: true,
            done: 1,
            ..Reads::none(ago(60))
        };
    });
    quietly(&again, Next::ReadStatus(Purpose::MakeUp));
}

/// So many codes were refused, and the resource shows it.
fn exhausted(spent: usize, limit: i32) -> World {
    let refused = |n: usize| {
        let digits = format!("{}", 100_000 + n);
        entry(&format!("a{n}"), &code(&digits), REFUSED)
    };
    World::new("AttemptsExhausted", (0..spent).map(refused).collect())
        .with(|w| w.reads.done = 1)
        .change_status(|s| s.attempt_limit = Some(limit))
}

fn raises(to: i32) -> Permit {
    Permit {
        raise_to: Some(to),
        unknown_passes: false,
    }
}

#[test]
fn exhausted_attempts_need_a_changed_token_found_in_that_state() {
    let new = code("222222");
    let limit = Fact::State(State::Exhausted(Exhausted::Limit {
        spent: 5,
        limit: 5,
        others: 0,
    }));
    let world = exhausted(5, 5).code(&new);
    says(&world, limit.clone(), Next::Poll);
    let raised = world.clone().token("go");
    for secret in [
        CodeReading::Usable(new.clone()),
        CodeReading::Usable(code("100000")),
        CodeReading::Usable(code_until("222222", ago(1))),
        CodeReading::SecretNotFound,
        CodeReading::Invalid(InvalidCode::NotDigits(CodeDigits::default())),
    ] {
        let (decision, after) = raised.clone().reading(secret).step();
        assert_eq!(decision.permit, raises(10));
        assert_eq!(after.status().attempt_limit, Some(10));
        assert_ne!(after.reason(), Reason::AttemptsExhausted);
        quietly(&after.code(&new), Next::Claim);
    }
    // In another state: the user has not seen it yet.
    let untold = raised.change_status(|s| s.reason = Some("CodeRejected".into()));
    says(&untold, limit, Next::Poll);
    // At 20 for good, and never beyond.
    let last = exhausted(18, 18).code(&code("100000")).token("go");
    assert_eq!(last.decide().permit, raises(MAX_ATTEMPTS));
    let all = Fact::State(State::Exhausted(Exhausted::Limit {
        spent: 20,
        limit: 20,
        others: 0,
    }));
    says(
        &exhausted(20, 20).code(&new).token("go"),
        all.clone(),
        Next::Poll,
    );
    // A forged limit counts only within the bounds.
    says(&exhausted(20, 1000).code(&new), all, Next::Poll);
    for forged in [0, -7, i32::MIN] {
        let fact = exhausted(1, forged).code(&new).decide().fact;
        assert_eq!(
            fact,
            Some(Fact::State(State::Exhausted(Exhausted::Limit {
                spent: 1,
                limit: 0,
                others: 0
            })))
        );
    }
}

/// A code that may or may not have been spent: the entry is of another key.
fn ambiguous() -> (World, Code, Fact) {
    let old = entry("a", &code_of(1, "111111", "1"), REFUSED);
    let maybe = code_of(2, "222222", "2");
    let world = World::rejected(vec![old]);
    let fact = Fact::Result(CamsResult::Spent(Conclusion {
        ambiguous: true,
        ..conclusion("a", Outcome::Refused)
    }));
    (world.code(&maybe), maybe, fact)
}

#[test]
fn a_token_lets_an_unknown_code_through_and_outlasts_the_queue() {
    let (world, _, waits) = ambiguous();
    says(&world, waits, Next::Poll);
    let asked = world
        .token("go")
        .turn(TurnState::Waiting(Duration::from_secs(2)));
    let (decision, queued) = asked.step();
    assert_eq!(
        (decision.next, queued.reason()),
        (Next::Stay(None), Reason::Queued)
    );
    let granted = queued.turn(TurnState::Granted);
    quietly(&granted, Next::Claim);
    assert!(granted.decide().permit.unknown_passes);
    // Held back by the account, and suspended and resumed: the permission stays.
    let held = granted.says(State::HeldBack {
        release_cause: ReleaseCause::Credentials,
        reply: ReplyDetails::default(),
        next: None,
    });
    quietly(&held, Next::Claim);
    let (_, suspended) = held.suspend(true).step();
    assert_eq!(suspended.reason(), Reason::Suspended);
    quietly(&suspended.suspend(false), Next::Claim);
}

/// The world after the attempt ended with this outcome, and its resource shows it.
fn attempted(world: &World, code: &Code, outcome: Outcome, permit: Permit) -> World {
    let ended = LedgerEntry {
        outcome: Some(outcome),
        ..entry("b", code, None)
    };
    let fact = match outcome {
        Outcome::Refused => Fact::Result(CamsResult::Spent(conclusion("b", outcome))),
        _ => Fact::Result(CamsResult::Released {
            release_cause: ReleaseCause::NotSent,
            reply: ReplyDetails::default(),
            next: None,
        }),
    };
    let world = world.clone().with(|w| w.ledger.entries.insert(0, ended));
    let stamp = Stamp::of_attempt(1, UserRequest::of(&world.object, permit), world.now);
    let status = apply(&world.object, &fact, &world.known(), &stamp);
    world.with(|w| w.object.status = status)
}

#[test]
fn a_token_is_used_up_by_the_attempt_it_lets_go_and_lets_nothing_through_again() {
    let (world, maybe, _) = ambiguous();
    let go = world.token("go");
    let permit = go.decide().permit;
    let another = code_of(2, "333333", "3");
    // Released: the permission was not used up.
    let released = attempted(&go, &maybe, Outcome::NotSent, Permit::default());
    quietly(&released.code(&maybe), Next::Claim);
    let refused = attempted(&go, &maybe, Outcome::Refused, permit);
    let (_, told) = refused.code(&another).step();
    assert_eq!(told.status().handled_retry_tokens.len(), 1);
    let is_ambiguous = |world: &World| match world.decide().fact {
        Some(Fact::Result(CamsResult::Spent(conclusion))) => conclusion.ambiguous,
        other => panic!("{other:?}"),
    };
    assert!(is_ambiguous(&told), "the token was for one code");
    // Put back after another one, as a revert in Git does.
    let other = attempted(&told.token("more"), &another, Outcome::Refused, permit);
    let last = code_of(2, "444444", "4");
    let reverted = other.token("go").code(&last);
    assert!(is_ambiguous(&reverted));
    quietly(&reverted.token("a third"), Next::Claim);
}

#[test]
fn a_token_that_changes_during_an_attempt_is_handled_after_it() {
    let (world, maybe, _) = ambiguous();
    let open = world.clone().token("go").with(|w| {
        w.ledger.entries.insert(0, entry("b", &maybe, UNKNOWN));
    });
    let (_, seen) = open.step();
    assert_eq!(seen.status().last_handled_retry_token.as_deref(), Some(""));
    // A token that is there at the first evaluation is not a change by the user.
    let first = world
        .clone()
        .token("there")
        .change_status(|s| s.last_handled_retry_token = None);
    assert_eq!(first.decide().permit, Permit::default());
    // A read does not use it up.
    let mut late = world.token("go").request("one");
    late.ledger.entries[0].outcome = FINAL;
    late.reads.last = Some(ago(3600));
    let (decision, after) = late.step();
    late.reads.last = None;
    let after = after.with(|w| w.reads = late.reads);
    assert_eq!(decision.next, Next::ReadStatus(Purpose::Late));
    quietly(&after, Next::Claim);
}

#[test]
fn a_request_to_reconcile_is_handled_once() {
    for reason in Reason::ALL {
        let world = World::new(reason.as_str(), Vec::new())
            .change_status(|s| s.id = Some("828".into()))
            .reading(CodeReading::KeyNotFound)
            .request("one");
        let (_, asked) = world.step();
        assert_eq!(
            asked.status().last_handled_reconcile_at.as_deref(),
            Some("one")
        );
        assert_eq!(asked.step().1.status(), asked.status());
    }
}

/// The state that shows a hold, as its first write shows it.
fn held_back(release_cause: ReleaseCause) -> World {
    World::new("Queued", Vec::new())
        .code(&code("111111"))
        .turn(TurnState::Waiting(Duration::from_secs(2)))
        .says(State::HeldBack {
            release_cause,
            reply: ReplyDetails::default(),
            next: Some(later(20)),
        })
        .with(|w| w.held_since = Some(now()))
}

fn is_true(world: &World, type_: &str) -> bool {
    world.status().is_true(type_)
}

#[test]
fn a_hold_is_progress_for_a_minute_and_stalls_then() {
    for (release_cause, cause) in [
        (ReleaseCause::Credentials, HoldCause::Credentials),
        (ReleaseCause::Account, HoldCause::Account),
        (ReleaseCause::Clock, HoldCause::Clock),
    ] {
        let held = held_back(release_cause).with(|w| w.hold = Some(cause));
        assert!(is_true(&held, "Reconciling") && !is_true(&held, "Stalled"));
        let minute = later(60);
        let (decision, _) = held.clone().with(|w| w.now = later(20)).step();
        let next = (None, Next::Stay(Some(minute)));
        assert_eq!((decision.fact, decision.next), next, "{release_cause:?}");
        let (decision, stalled) = held.with(|w| w.now = minute).step();
        assert_eq!(decision.fact, Some(Fact::State(State::StillHeld)));
        assert!(!is_true(&stalled, "Reconciling") && is_true(&stalled, "Stalled"));
        assert_eq!(stalled.reason(), release_cause.reason());
        quietly(&stalled, Next::Stay(None));
        // The next failed probe does not make it progress again.
        let again = stalled.says(CamsResult::Released {
            release_cause,
            reply: ReplyDetails::default(),
            next: Some(later(100)),
        });
        assert!(is_true(&again, "Stalled"), "{release_cause:?}");
        // Another cause counts as a new one.
        let other = again.says(State::HeldBack {
            release_cause: match release_cause {
                ReleaseCause::Clock => ReleaseCause::Credentials,
                _ => ReleaseCause::Clock,
            },
            reply: ReplyDetails::default(),
            next: Some(later(100)),
        });
        assert!(is_true(&other, "Reconciling"), "{release_cause:?}");
    }
}

#[test]
fn a_resource_that_backs_off_alone_stalls_after_a_minute_although_the_account_is_held_no_more() {
    let alone = held_back(ReleaseCause::Account).change_status(|s| {
        s.next_attempt_at = Some(Time(later(80)));
    });
    let (decision, _) = alone.clone().with(|w| w.now = later(10)).step();
    assert_eq!((decision.fact, decision.next), (None, Next::At(later(60))));
    let (decision, stalled) = alone.with(|w| w.now = later(60)).step();
    assert_eq!(
        (decision.fact, decision.next),
        (Some(Fact::State(State::StillHeld)), Next::At(later(80)))
    );
    assert!(is_true(&stalled, "Stalled"));
    // The message stays the earlier one.
    let ready = stalled.status().condition("Ready").cloned().unwrap();
    assert!(ready.message.contains("RAM policy"), "{}", ready.message);
}

#[test]
fn only_a_hold_that_the_account_shows_stalls() {
    for reason in ["Throttled", "Queued", "SecretNotFound"] {
        let world = World::new(reason, Vec::new())
            .code(&code("111111"))
            .turn(TurnState::Waiting(Duration::from_secs(2)))
            .change_status(|s| s.next_attempt_at = Some(Time(later(9_000))))
            .with(|w| {
                (w.hold, w.held_since) = (Some(HoldCause::Transport), Some(ago(9_000)));
            });
        assert_ne!(
            world.decide().fact,
            Some(Fact::State(State::StillHeld)),
            "{reason}"
        );
    }
}
