//! Verified numbers and open attempts: nothing is ever sent from there but reads.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::decide::{Next, TurnState};
use phone_migration_operator::fact::Fact;
use phone_migration_operator::reads::{Purpose, Reads};
use phone_migration_operator::reason::Outcome;

use super::world::*;

fn verified(id: Option<&str>) -> World {
    tried("Verified", 1, &code("111111"), Some(Outcome::Accepted)).with(|w| {
        let status = w.object.status.as_mut().unwrap();
        status.id = id.map(Into::into);
        status.verified_at = Some(Time(now()));
    })
}

#[test]
fn verified_rests_whatever_changes() {
    let world = verified(Some("828"));
    for world in [
        world.clone(),
        world.clone().code(&code("222222")),
        world.clone().token("go"),
        world.clone().suspend(true),
        world.clone().request("one"),
    ] {
        let (decision, after) = world.step();
        assert_eq!(decision.next, Next::Rest);
        assert_eq!(after.reason(), "Verified");
        assert_eq!(after.status().attempt, world.status().attempt);
        let (decision, _) = after.step();
        assert_eq!(decision.fact, None, "handled once");
    }
}

#[test]
fn a_missing_id_is_read_three_times_and_then_hourly_for_a_day() {
    let world = verified(None);
    assert_eq!(world.decide().next, Next::At(later(5)));
    let due = world.clone().with(|w| w.now = later(5));
    assert_eq!(due.decide().next, Next::ReadStatus(Purpose::MissingId));
    let over = world.with(|w| {
        w.now = later(25 * 3600);
        w.reads = Reads {
            done: 20,
            last: Some(later(24 * 3600)),
            ..Reads::none(now())
        };
    });
    assert_eq!(over.decide().next, Next::Rest);
}

#[test]
fn an_accepted_attempt_without_its_state_is_no_success_until_a_read_confirms_it() {
    let world = tried("Verifying", 1, &code("111111"), Some(Outcome::Accepted));
    let (decision, after) = world.step();
    assert_ne!(after.reason(), "Verified");
    assert!(matches!(decision.next, Next::At(_)), "{decision:?}");
    let due = world.with(|w| w.now = later(6));
    assert_eq!(due.decide().next, Next::ReadStatus(Purpose::MissingId));
}

fn open_states() -> Vec<World> {
    let c = code("111111");
    let mut states = vec![
        tried("Verifying", 1, &c, None),
        tried("OutcomeUnknown", 1, &c, Some(Outcome::Unknown)),
        // Forged or left behind: the attempt decides, not the word.
        tried("CodeRejected", 1, &c, None),
        tried("AttemptsExhausted", 1000, &c, None),
        tried("no such word", 0, &c, Some(Outcome::Unknown)),
    ];
    let future = tried("Verifying", 1, &c, None).with(|w| {
        let attempt = w.object.status.as_mut().unwrap().attempt.as_mut().unwrap();
        attempt.signed_at = Time("9999-12-30T00:00:00Z".parse().unwrap());
    });
    states.push(future);
    states
}

#[test]
fn an_open_attempt_is_only_ever_read() {
    for state in open_states() {
        let different = state.clone().code(&code("222222"));
        for world in [
            different.clone(),
            different.clone().token("go"),
            different.clone().suspend(true),
            different.clone().request("one"),
            different.clone().turn(TurnState::None),
            state.clone(),
        ] {
            for seconds in [0, 4, 5, 100, 3600, 100_000] {
                let world = world.clone().with(|w| w.now = later(seconds));
                let (decision, after) = world.step();
                assert!(
                    matches!(decision.next, Next::ReadStatus(Purpose::Open) | Next::At(_)),
                    "{decision:?}"
                );
                assert!(matches!(decision.fact, None | Some(Fact::Seen)));
                assert_eq!(after.status().attempt, world.status().attempt);
                assert_eq!(after.reason(), world.reason());
                assert_eq!(
                    after.status().last_handled_retry_token,
                    world.status().last_handled_retry_token,
                    "a token that changes now is handled when the attempt ends"
                );
                assert_eq!(after.step().0.fact, None, "handled once");
            }
        }
    }
}

#[test]
fn a_request_reads_at_once_and_only_once() {
    let asked = tried("OutcomeUnknown", 1, &code("111111"), Some(Outcome::Unknown)).request("one");
    let (decision, after) = asked.step();
    assert_eq!(decision.next, Next::ReadStatus(Purpose::Open));
    assert_eq!(after.decide().next, Next::At(later(5)));
}

#[test]
fn reads_follow_the_schedule_to_the_end_of_the_signature() {
    let world = tried("OutcomeUnknown", 1, &code("111111"), Some(Outcome::Unknown));
    for (done, seconds) in [(0, 5), (1, 15), (2, 60), (3, 360), (4, 660)] {
        let world = world.clone().with(|w| {
            w.reads = Reads {
                done,
                ..Reads::none(now())
            };
        });
        assert_eq!(world.decide().next, Next::At(later(seconds)));
        let due = world.with(|w| w.now = later(seconds));
        assert_eq!(due.decide().next, Next::ReadStatus(Purpose::Open));
    }
    // Signed a minute ago: the end is 31 + 1 minutes after that, and the read a second later.
    let last = world.with(|w| {
        w.reads = Reads {
            done: 9,
            ..Reads::none(now())
        };
    });
    assert_eq!(last.decide().next, Next::At(later(31 * 60 + 1)));
    assert_eq!(
        VALIDITY + Duration::from_secs(60),
        Duration::from_secs(32 * 60)
    );
}
