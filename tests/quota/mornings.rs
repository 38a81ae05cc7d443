//! Whole mornings of one account in simulated time.

use std::collections::HashSet;
use std::time::Duration;

use phone_migration_operator::quota::{Action, Cause, Report};

use super::agents::{Times, World};
use super::{ACCOUNT, CREDENTIALS, READ, SUBMIT, ms, queue_entry, s};

const START: Duration = s(1_000);

fn steady(processing: u64) -> Times {
    Times {
        way: ms(20),
        processing: ms(processing),
        cluster: ms(20),
    }
}

fn all_pass(_: Duration, _: Action, _: &str) -> Report {
    Report::Answered
}

fn world(qps: u32, times: Times, verdict: super::agents::Verdict, queue_entries: usize) -> World {
    let mut world = World::new(qps, START, times, verdict);
    for i in 0..queue_entries {
        world.add(queue_entry(&format!("ns{}", i % 3), &format!("{i:04}")));
    }
    world
}

/// 600 resources, each with a read before its submission.
#[test]
fn a_morning_uses_98_percent_of_the_quota_whatever_the_processing_time() {
    for processing in [5, 50, 300, 500, 1_000] {
        let mut world = world(10, steady(processing), all_pass, 600);
        world.run(START + s(120));
        assert_eq!(world.done.len(), 600);
        let used = world.verify.calls_between(START + s(6), START + s(56)) as f64 / 500.0;
        println!("processing {processing} ms: {used:.4}");
        assert!(used >= 0.98, "processing {processing} ms: {used}");
        for ledger in [&world.verify, &world.reads] {
            assert_eq!(ledger.throttles, 0);
            assert!(ledger.worst_second() <= 10);
        }
    }
}

#[test]
fn a_lone_ticket_is_not_kept_waiting_by_two_thousand_others() {
    let mut world = World::new(10, START, steady(50), all_pass);
    for i in 0..2_000 {
        world.add(queue_entry("a", &format!("{i:04}")));
    }
    world.run(START + s(20));
    world.add(queue_entry("b", "lone"));
    let asked = world.now;
    world.run(START + s(60));
    let waited = world.done["lone"] - asked;
    println!("the lone ticket was answered after {waited:?}");
    assert!(waited < s(2), "{waited:?}");
}

/// From its second second on the server throttles every call for 20 s.
#[test]
fn twenty_seconds_of_throttling_cost_few_calls_and_hardly_any_time_after() {
    for processing in [5, 50, 300, 1_000] {
        let mut world = world(10, steady(processing), all_pass, 220);
        world.run(START + s(4));
        let done_before = world.done.len();
        let (begin, end) = (world.now, world.now + s(20));
        world.throttle_until(end);
        world.run(START + s(600));
        assert_eq!(world.done.len(), 220);
        let reads = world.reads.calls_between(begin, end);
        let verify = world.verify.calls_between(begin, end);
        let after = world.done.values().filter(|at| **at > end + ms(processing));
        let first = *after.min().unwrap() - end;
        let last = *world.done.values().max().unwrap() - end;
        println!(
            "processing {processing} ms, {done_before} before: {verify} submissions and {reads} \
             reads in the phase, the first through {first:?} after it, the last {last:?}"
        );
        assert!(
            verify + reads <= 15,
            "{verify} submissions and {reads} reads"
        );
        assert!(first <= s(4) + ms(2 * processing), "{first:?}");
        assert!(last <= s(26) + ms(2 * processing), "{last:?}");
    }
}

#[test]
fn all_settle_beside_another_user_of_the_account() {
    let mut world = world(10, steady(50), all_pass, 200);
    world.foreign(ms(200));
    world.run(START + s(900));
    assert_eq!(world.done.len(), 200);
    let last = world.done.values().max().unwrap();
    let throttled = world.verify.throttles;
    println!("settled after {:?}, {throttled} throttles", *last - START);
    assert!(throttled <= 40, "{throttled}");
}

/// For five minutes submissions vanish, while reads pass: the worst case for codes.
#[test]
fn an_outage_of_submissions_alone_does_not_burn_the_queue() {
    fn outage(now: Duration, action: Action, _: &str) -> Report {
        match action {
            SUBMIT if now <= START + s(300) => Report::Unknown,
            SUBMIT | READ => Report::Answered,
        }
    }
    let mut world = world(10, steady(50), outage, 2_000);
    world.run(START + s(900));
    let unknown = world.unknown.len();
    println!("{unknown} unknown");
    // The calls that left within the first deadline, then one per back-off.
    assert!(unknown <= 100 + 8, "{unknown}");
    assert_eq!(world.finished(), 2_000);
}

#[test]
fn an_outage_of_everything_is_probed_without_a_claim() {
    fn outage(now: Duration, _: Action, _: &str) -> Report {
        if now < START + s(300) {
            Report::Unknown
        } else {
            Report::Answered
        }
    }
    let mut world = world(10, steady(50), outage, 500);
    world.run(START + s(900));
    let late = world.verify.calls_between(START + s(25), START + s(300));
    assert_eq!(late, 0, "submissions while held");
    let probes = world.reads.calls_between(START + s(25), START + s(300));
    assert!((3..=6).contains(&probes), "{probes}");
    assert_eq!(world.finished(), 500);
    println!("{} unknown", world.unknown.len());
    assert!(world.unknown.len() <= 40, "{}", world.unknown.len());
}

#[test]
fn wrong_credentials_cost_no_submission_once_known() {
    fn wrong(now: Duration, _: Action, _: &str) -> Report {
        if now < START + s(120) {
            CREDENTIALS
        } else {
            Report::Answered
        }
    }
    let mut world = world(10, steady(50), wrong, 300);
    world.run(START + s(119));
    assert_eq!(world.verify.calls.len(), 0, "each looks before it submits");
    // Two reads were in flight when the first was answered, then a probe at 5, 15, 35, 75 s.
    let reads = world.reads.calls.len();
    assert!(reads <= 2 + 4, "{reads}");
    assert_eq!(world.account.hold().unwrap().cause, Cause::Credentials);
    world.run(START + s(900));
    assert_eq!(world.done.len(), 300);
}

#[test]
fn an_account_error_is_probed_by_one_submission_at_a_time_in_rotation() {
    fn unsubscribed(now: Duration, action: Action, _: &str) -> Report {
        match action {
            SUBMIT if now < START + s(100) => ACCOUNT,
            SUBMIT | READ => Report::Answered,
        }
    }
    let mut world = world(10, steady(50), unsubscribed, 30);
    world.run(START + s(99));
    let calls = &world.verify.calls;
    let held: Vec<&str> = calls
        .iter()
        .filter(|(at, _, _)| *at > START + s(3))
        .map(|(_, uid, _)| uid.as_str())
        .collect();
    // At 5, 15, 35, 75 s after the hold began.
    assert_eq!(held.len(), 4, "{held:?}");
    let distinct: HashSet<&str> = held.iter().copied().collect();
    assert_eq!(distinct.len(), held.len(), "{held:?}");
    world.run(START + s(900));
    assert_eq!(world.done.len(), 30);
}

/// One resource's own fault that looks like the account's.
#[test]
fn one_bad_resource_does_not_hold_the_others_for_long() {
    fn bad(_: Duration, action: Action, uid: &str) -> Report {
        match action {
            SUBMIT if uid == "0000" => ACCOUNT,
            SUBMIT | READ => Report::Answered,
        }
    }
    let mut world = world(10, steady(50), bad, 60);
    world.run(START + s(400));
    assert!(!world.done.contains_key("0000"));
    assert_eq!(world.done.len(), 59);
}

#[test]
fn unlimited_quota_is_bounded_by_the_turns_alone() {
    let mut world = world(0, steady(50), all_pass, 1_000);
    world.run(START + s(60));
    assert_eq!(world.done.len(), 1_000);
    let last = world.done.values().max().unwrap();
    assert!(*last < START + s(3), "{:?}", *last - START);
}
