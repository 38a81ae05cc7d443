//! Resources that have spent codes: only a different code goes on, and retryToken never lets a
//! spent one through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::code::{CodeReading, InvalidCode};
use phone_migration_operator::decide::{Next, Owner};
use phone_migration_operator::fact::{Fact, NoCode};
use phone_migration_operator::reads::{Purpose, Reads};
use phone_migration_operator::reason::Outcome;

use super::world::*;

pub const ENDS: [(&str, Outcome); 3] = [
    ("CodeRejected", Outcome::Refused),
    ("RequestRejected", Outcome::RequestRefused),
    ("OutcomeUnknown", Outcome::UnknownFinal),
];

pub const STAY: Option<Fact> = Some(Fact::Concluded { ambiguous: false });
pub const AMBIGUOUS: Option<Fact> = Some(Fact::Concluded { ambiguous: true });

pub fn exhausted(limit: i32) -> World {
    let codes: Vec<_> = (0..limit)
        .map(|n| code(&format!("{}", 100_000 + n)))
        .collect();
    let codes: Vec<_> = codes.iter().collect();
    spent("AttemptsExhausted", &codes, Outcome::Refused)
        .with(|w| w.object.status.as_mut().unwrap().attempt_limit = Some(limit))
}

#[test]
fn only_a_different_code_goes_on() {
    let old = code("111111");
    for (reason, outcome) in ENDS {
        let world = spent(reason, &[&old], outcome);
        assert_eq!(world.decide().next, Next::ReadCode);
        for token in [false, true] {
            let world = if token {
                world.clone().token("go")
            } else {
                world.clone()
            };
            // The same digits, from another version of the Secret.
            let same = world.clone().code(&code_of(1, "111111", "99"));
            assert_eq!((same.decide().fact, same.decide().next), (STAY, Next::Poll));
            assert_eq!(same.step().1.reason(), reason);
            let different = world.clone().code(&code("222222"));
            assert_eq!(different.decide().next, Next::Claim(2));
            // An older code put back is spent too.
            let twice = spent(reason, &[&old, &code("333333")], outcome);
            let back = if token { twice.token("go") } else { twice }.code(&old);
            assert_eq!((back.decide().fact, back.decide().next), (STAY, Next::Poll));
        }
    }
}

#[test]
fn what_the_secret_lacks_does_not_hide_how_it_ended() {
    for (reason, outcome) in ENDS {
        let world = spent(reason, &[&code("111111")], outcome);
        for gone in [CodeReading::SecretNotFound, CodeReading::KeyNotFound] {
            let world = world.clone().reading(gone);
            assert_eq!(world.decide().fact, STAY);
            assert_eq!(world.step().1.reason(), reason);
        }
        let invalid = world
            .clone()
            .reading(CodeReading::Invalid(InvalidCode::NotDigits));
        assert_eq!(invalid.decide().fact, Some(Fact::NoCode(NoCode::NotDigits)));
        let (_, shown) = invalid.step();
        assert_eq!(shown.reason(), "InvalidCode");
        // The spent code put back: the state comes back with its own error.
        let (_, back) = shown.code(&code("111111")).step();
        assert_eq!(back.reason(), reason);
        assert_eq!(back.status().error_code, world.status().error_code);
        let mut expired = code("222222");
        expired.expires_at = Some(ago(1));
        let world = world.code(&expired);
        assert_eq!(world.decide().fact, Some(Fact::NoCode(NoCode::Expired)));
    }
}

#[test]
fn suspend_keeps_finished_states_and_stops_the_others() {
    let different = code("222222");
    for (reason, outcome) in ENDS {
        let world = spent(reason, &[&code("111111")], outcome).code(&different);
        let suspended = world.suspend(true);
        let (decision, after) = suspended.step();
        assert!(!matches!(decision.next, Next::Claim(_) | Next::Enqueue(_)));
        assert_eq!(after.reason(), reason);
        for waiting in ["Queued", "Throttled", "InvalidCode", "AccountError"] {
            let world = suspended.clone().with(|w| {
                w.object.status.as_mut().unwrap().reason = Some(waiting.into());
            });
            let (_, after) = world.step();
            assert_eq!(after.reason(), "Suspended");
            assert_eq!(after.suspend(false).decide().next, Next::Claim(2));
        }
    }
}

#[test]
fn a_final_unknown_is_still_read_hourly_for_a_day_and_when_asked() {
    let world = spent("OutcomeUnknown", &[&code("111111")], Outcome::UnknownFinal);
    for suspended in [false, true] {
        let world = world.clone().suspend(suspended).code(&code("111111"));
        let asked = world.clone().request("one");
        let (decision, after) = asked.step();
        assert_eq!(decision.next, Next::ReadStatus(Purpose::Late));
        assert_ne!(after.decide().next, Next::ReadStatus(Purpose::Late), "once");
        let due = world.clone().with(|w| w.now = later(3600));
        assert_eq!(due.decide().next, Next::ReadStatus(Purpose::Late));
        let over = world.with(|w| {
            w.now = later(25 * 3600);
            w.reads.last = Some(later(24 * 3600));
        });
        assert_ne!(over.decide().next, Next::ReadStatus(Purpose::Late));
    }
    // Also after a later code was tried and released, and when taken over from a deleted one.
    let mut released = world.request("one");
    let c = code("222222");
    released.object.status.as_mut().unwrap().attempt = Some(attempt(2, &c, Some(Outcome::NotSent)));
    assert_eq!(released.decide().next, Next::ReadStatus(Purpose::Late));
    released.object.status.as_mut().unwrap().attempt = None;
    assert_eq!(released.decide().next, Next::ReadStatus(Purpose::Late));
}

#[test]
fn a_read_does_not_use_up_the_token() {
    let world = spent(
        "OutcomeUnknown",
        &[&code_of(1, "111111", "1")],
        Outcome::UnknownFinal,
    )
    .code(&code_of(2, "222222", "2"))
    .token("go")
    .request("one");
    let (decision, after) = world.step();
    assert_eq!(decision.next, Next::ReadStatus(Purpose::Late));
    assert_eq!(after.decide().next, Next::Claim(2));
}

#[test]
fn the_read_before_a_refusal_is_made_up_once() {
    let world = spent("CodeRejected", &[&code("111111")], Outcome::Refused)
        .code(&code("222222"))
        .with(|w| {
            w.reads.make_up = true;
            w.now = later(60);
        });
    assert_eq!(world.decide().next, Next::ReadStatus(Purpose::MakeUp));
    let made = world.with(|w| w.reads = w.reads.made(true, later(60)));
    assert_eq!(made.decide().next, Next::Claim(2));
    assert!(!Reads::none(now()).make_up);
}

#[test]
fn an_unmoved_secret_is_the_same_under_a_new_key_and_fingerprinted_anew() {
    let old = code_of(1, "111111", "1");
    let world = spent("CodeRejected", &[&old], Outcome::Refused).code(&code_of(2, "111111", "1"));
    let (decision, after) = world.step();
    assert_eq!(
        decision.fact,
        Some(Fact::Refingerprinted(code_of(2, "111111", "1").fingerprint))
    );
    assert_eq!(after.decide().fact, STAY);
    // Now the new key tells codes apart.
    assert_eq!(
        after.clone().code(&code_of(2, "222222", "2")).decide().next,
        Next::Claim(2)
    );
    assert_eq!(after.code(&code_of(2, "111111", "9")).decide().fact, STAY);
    // Another data key of that Secret may hold another code: the spent fingerprint is kept.
    let respecified = world
        .with(|w| w.object.metadata.generation = Some(2))
        .code(&code_of(2, "333333", "1"));
    assert_eq!(respecified.decide().fact, STAY);
}

#[test]
fn who_spent_codes_never_becomes_a_duplicate() {
    for (reason, outcome) in ENDS {
        let world = spent(reason, &[&code("111111")], outcome)
            .code(&code("222222"))
            .with(|w| w.owner = Owner::Other(None));
        assert_eq!(
            (world.decide().fact, world.decide().next),
            (STAY, Next::Poll)
        );
    }
}

#[test]
fn a_forged_status_never_claims() {
    let new = code("222222");
    let history = World::new(seen("Queued"))
        .with(|w| {
            let history = &mut w.object.status.as_mut().unwrap().history;
            *history = (1..=6)
                .map(|n| entry(n, &code("111111"), Outcome::Refused))
                .collect();
        })
        .code(&new);
    assert_eq!(
        history.decide().fact,
        Some(Fact::Exhausted),
        "history without attempt"
    );
    for (limit, claims) in [(1000, true), (0, false), (-7, false), (i32::MIN, false)] {
        let world = spent("CodeRejected", &[&code("111111")], Outcome::Refused)
            .with(|w| w.object.status.as_mut().unwrap().attempt_limit = Some(limit))
            .code(&new);
        assert_eq!(
            matches!(world.decide().next, Next::Claim(2)),
            claims,
            "limit {limit}"
        );
    }
    let many = exhausted(20).with(|w| w.object.status.as_mut().unwrap().attempt_limit = Some(1000));
    assert_eq!(many.code(&new).decide().fact, Some(Fact::Exhausted));
    for number in [i32::MIN, -1, 0, 6, 1000, i32::MAX] {
        let released = tried("Queued", number, &new, Some(Outcome::NotSent)).code(&new);
        let expected = if number > 5 {
            Next::Poll
        } else {
            Next::Claim(1)
        };
        assert_eq!(released.decide().next, expected, "number {number}");
    }
    // Two entries of one id: neither hides the other.
    let mut twins = spent("CodeRejected", &[&new], Outcome::Refused).code(&new);
    let status = twins.object.status.as_mut().unwrap();
    status.attempt.as_mut().unwrap().code_fingerprint = Some(code("999999").fingerprint);
    assert_eq!(twins.decide().fact, STAY);
    let word = tried("Queued", 1, &new, Some(Outcome::Refused)).with(|w| {
        w.object
            .status
            .as_mut()
            .unwrap()
            .attempt
            .as_mut()
            .unwrap()
            .finished_at = None::<Time>;
    });
    assert_eq!(word.code(&new).decide().fact, STAY);
}

/// One entry that can be compared proves nothing about the others.
#[test]
fn an_older_code_under_another_key_leaves_sameness_unknown() {
    let (older, last) = (code_of(2, "111111", "1"), code_of(1, "222222", "2"));
    let world = spent("CodeRejected", &[&older, &last], Outcome::Refused);
    let maybe_older = world.code(&code_of(1, "111111", "3"));
    assert_eq!(
        (maybe_older.decide().fact, maybe_older.decide().next),
        (AMBIGUOUS, Next::Poll)
    );
}
