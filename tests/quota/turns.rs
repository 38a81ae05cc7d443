//! Turns and slots of one account, one by one.

use std::time::Duration;

use phone_migration_operator::quota::account::{Account, Effect, Taken};
use phone_migration_operator::quota::pacer::SendId;
use phone_migration_operator::quota::{Action, Cause, Priority, Report, Settings, TurnKind};

use super::{CLOCK, READ, SUBMIT, THROTTLED, ms, queue_entry, s, slot_of, uid_of};

const START: Duration = s(1_000);

fn account(qps: u32, uids: &[&str]) -> Account {
    let mut account = Account::new(Settings { qps }, START);
    for uid in uids {
        account.enqueue(queue_entry("a", uid), START);
    }
    account
}

/// The resources that a step at `now` wakes.
fn woken(account: &mut Account, now: Duration) -> Vec<String> {
    let effects = account.step(now).effects.into_iter();
    let woken = effects.filter_map(|effect| match effect {
        Effect::Wake(key) => Some(uid_of(&key)),
        Effect::Slot { .. } | Effect::Late(_) => None,
    });
    woken.collect()
}

fn take(account: &mut Account, uid: &str, now: Duration) -> Taken {
    account.take_turn(uid, now).expect("a granted turn")
}

fn slot_at(account: &mut Account, action: Action, now: Duration) -> SendId {
    let waiter = account.wait_for_slot(action, Priority::Attempt, now);
    let effects = account.step(now).effects;
    slot_of(&effects, waiter).expect("a free slot")
}

/// Sends at `now`.
fn use_turn(account: &mut Account, uid: &str, turn: Taken, now: Duration) -> bool {
    let send = slot_at(account, SUBMIT, now);
    let used = account.use_turn(uid, turn.id, now, send);
    if used {
        account.replied(SUBMIT, send, now);
    } else {
        account.unsent(SUBMIT, send, now);
    }
    used
}

#[test]
fn a_turn_is_granted_woken_taken_and_used_once() {
    let mut account = account(1, &["x"]);
    assert!(account.is_waiting("x"));
    assert_eq!(account.take_turn("x", START), None, "not granted yet");
    let granted = START + s(3);
    assert_eq!(woken(&mut account, granted), ["x"]);
    assert!(account.is_waiting("x"));
    assert_eq!(
        account.position("x"),
        Some(0),
        "it is next until it is taken"
    );
    account.enqueue(queue_entry("a", "x"), granted);
    assert_eq!(woken(&mut account, granted), [""; 0], "left alone");
    let turn = take(&mut account, "x", granted + ms(5));
    assert_eq!((turn.kind, turn.waited), (TurnKind::Normal, s(3)));
    assert!(!account.is_waiting("x"));
    assert_eq!(account.position("x"), None);
    assert_eq!(account.take_turn("x", granted + ms(6)), None);
    assert!(account.turn_stands("x", turn.id));
    assert!(use_turn(&mut account, "x", turn, granted + ms(7)));
    assert!(!account.turn_stands("x", turn.id));
    let stats = account.stats(granted + ms(7));
    assert_eq!((stats.queued, stats.granted, stats.outstanding), (0, 0, 0));
}

#[test]
fn an_untaken_turn_is_dropped_with_a_wake_and_the_next_gets_it() {
    let mut account = account(1, &["x", "y", "z"]);
    assert_eq!(woken(&mut account, START), ["x", "y"]);
    let turn = take(&mut account, "x", START);
    let next = account.step(START).next.unwrap();
    assert!(next <= START + s(10));
    assert_eq!(woken(&mut account, START + s(10) - ms(1)), [""; 0]);
    // `y` is woken to ask again, if it still wants a turn; `z` gets one.
    assert_eq!(woken(&mut account, START + s(10)), ["y", "z"]);
    assert!(!account.is_waiting("y"));
    assert!(
        !account.turn_stands("x", turn.id),
        "taken, and not used for 10 s"
    );
    account.enqueue(queue_entry("a", "y"), START + s(10));
    assert!(account.is_waiting("y"));
}

#[test]
fn leaving_and_dropping_give_the_turn_to_the_next() {
    let mut account = account(1, &["w", "x", "y", "z"]);
    assert_eq!(woken(&mut account, START), ["w", "x"]);
    account.leave("w", START);
    assert_eq!(account.take_turn("w", START), None);
    assert_eq!(woken(&mut account, START), ["y"]);
    let turn = take(&mut account, "x", START);
    account.leave("x", START);
    assert!(
        account.turn_stands("x", turn.id),
        "taken turns are the holder's"
    );
    account.drop_turn("x", turn.id, START);
    assert_eq!(woken(&mut account, START), ["z"]);
}

#[test]
fn a_standby_grants_nothing_and_takes_back_what_was_not_taken() {
    let mut account = account(1, &["x", "y", "z"]);
    assert_eq!(woken(&mut account, START), ["x", "y"]);
    let turn = take(&mut account, "x", START);
    account.set_active(false, START);
    assert_eq!(account.take_turn("y", START), None);
    assert!(account.is_waiting("y"));
    assert!(account.turn_stands("x", turn.id));
    assert_eq!(woken(&mut account, START + s(5)), [""; 0]);
    account.set_active(true, START + s(5));
    assert_eq!(
        woken(&mut account, START + s(5)),
        ["y"],
        "its place was kept"
    );
}

#[test]
fn a_hold_voids_what_was_granted_before_it() {
    let mut account = account(1, &["x", "y", "z"]);
    woken(&mut account, START);
    let turn = take(&mut account, "x", START);
    account.report(READ, CLOCK, START + s(2));
    assert!(!account.turn_stands("x", turn.id));
    assert!(!use_turn(&mut account, "x", turn, START + s(2)));
    assert_eq!(account.take_turn("y", START + s(2)), None);
    assert!(account.is_waiting("y"));
    assert_eq!(woken(&mut account, START + s(6)), [""; 0]);
    // The probe is due: one turn, which may not send before the hold has ended.
    assert_eq!(woken(&mut account, START + s(7)), ["y"]);
    let probe = take(&mut account, "y", START + s(7));
    assert_eq!(probe.kind, TurnKind::ProbeRead);
    assert!(account.turn_stands("y", probe.id));
    assert!(!use_turn(&mut account, "y", probe, START + s(7)));
    account.report(READ, Report::Answered, START + s(8));
    assert_eq!(account.hold(), None);
    assert!(account.turn_stands("y", probe.id));
    assert_eq!(
        woken(&mut account, START + s(8)),
        [""; 0],
        "one until it is proven"
    );
    assert!(use_turn(&mut account, "y", probe, START + s(8)));
    account.report(SUBMIT, Report::Answered, START + s(8));
    assert_eq!(woken(&mut account, START + s(8)), ["z"]);
}

#[test]
fn while_ledgers_cannot_be_written_nobody_gets_a_turn() {
    let mut account = account(10, &["x", "y"]);
    assert_eq!(woken(&mut account, START), ["x", "y"]);
    let turn = take(&mut account, "x", START);
    account.hold_ledger(START + s(1));
    assert!(!account.turn_stands("x", turn.id));
    assert_eq!(account.take_turn("y", START + s(1)), None, "it went back");
    assert!(account.is_waiting("y"));
    assert_eq!(account.hold().unwrap().cause, Cause::Ledger);
    for seconds in [2, 6, 60, 3_600] {
        assert_eq!(woken(&mut account, START + s(seconds)), [""; 0]);
    }
    let now = START + s(3_600);
    account.ledger_probed(false, now);
    assert_eq!(account.ledger_probe_at(), Some(now + s(10)));
    account.ledger_probed(true, now);
    assert_eq!((account.hold(), account.ledger_probe_at()), (None, None));
    assert_eq!(woken(&mut account, now), ["y"]);
}

#[test]
fn a_failed_probe_voids_its_turn_and_the_next_probe_is_anothers() {
    let mut account = account(10, &["x", "y"]);
    account.assume_hold(Cause::Transport, START + s(1), START);
    assert_eq!(woken(&mut account, START + s(1)), ["x"]);
    let probe = take(&mut account, "x", START + s(1));
    account.report(READ, Report::NotSent, START + s(2));
    assert!(!account.turn_stands("x", probe.id));
    account.drop_turn("x", probe.id, START + s(2));
    account.enqueue(queue_entry("a", "x"), START + s(2));
    assert_eq!(woken(&mut account, START + s(12) - ms(1)), [""; 0]);
    assert_eq!(
        woken(&mut account, START + s(12)),
        ["y"],
        "not `x` twice in a row"
    );
    // A probe that is not taken goes to the next after a second.
    assert_eq!(
        woken(&mut account, START + s(22)),
        ["y"],
        "told to ask again"
    );
    assert_eq!(woken(&mut account, START + s(23)), ["x"]);
}

#[test]
fn a_read_that_ends_one_hold_hands_its_turn_to_the_account_hold_underneath() {
    let mut account = account(10, &["x", "y"]);
    account.assume_hold(Cause::Account, START, START);
    account.assume_hold(Cause::Credentials, START + s(2), START);
    assert_eq!(woken(&mut account, START + s(2)), ["x"]);
    let probe = take(&mut account, "x", START + s(2));
    account.report(READ, Report::Answered, START + s(3));
    assert_eq!(account.hold().unwrap().cause, Cause::Account);
    assert_eq!(
        woken(&mut account, START + s(3)),
        [""; 0],
        "`x` is the probe"
    );
    assert!(use_turn(&mut account, "x", probe, START + s(3)));
    account.report(SUBMIT, Report::Answered, START + s(3));
    assert_eq!(account.hold(), None);
    assert_eq!(woken(&mut account, START + s(3)), ["y"]);
}

#[test]
fn a_gate_that_says_no_to_a_probing_attempt_passes_the_probe_on() {
    let mut account = account(10, &["x", "y"]);
    account.assume_hold(Cause::Account, START, START);
    assert_eq!(woken(&mut account, START + s(2)), ["x"]);
    let probe = take(&mut account, "x", START + s(2));
    assert_eq!(probe.kind, TurnKind::ProbeAttempt);
    let send = slot_at(&mut account, SUBMIT, START + s(2));
    assert!(account.use_turn("x", probe.id, START + s(2), send));
    account.unsent(SUBMIT, send, START + s(2));
    assert_eq!(woken(&mut account, START + s(3)), ["y"]);
}

#[test]
fn a_throttle_of_either_action_pauses_both_and_slows_one() {
    for (action, other) in [(SUBMIT, READ), (READ, SUBMIT)] {
        let mut account = account(10, &["x", "y"]);
        let now = START + s(2);
        assert_eq!(woken(&mut account, now).len(), 2);
        let taken = take(&mut account, "x", now);
        account.report(
            action,
            Report::Throttled {
                retry_after: Some(s(30)),
            },
            now,
        );
        assert_eq!(account.paused_until(now), Some(now + s(30)));
        assert_eq!(account.take_turn("y", now), None, "goes back");
        assert!(account.turn_stands("x", taken.id));
        for limiter in [action, other] {
            account.wait_for_slot(limiter, Priority::Attempt, now + s(60));
        }
        let step = account.step(now + s(1));
        assert_eq!(step.effects, []);
        assert!(step.next.unwrap() > now + s(8));
        let effects = account.step(now + s(30)).effects;
        let slots = effects
            .iter()
            .filter(|e| matches!(e, Effect::Slot { .. }))
            .count();
        assert_eq!(slots, 2);
        let stats = account.stats(now + s(30));
        let rate = |limiter| match limiter {
            SUBMIT => stats.verify.rate,
            READ => stats.read_status.rate,
        };
        assert_eq!((rate(action), rate(other)), (Some(5.0), Some(10.0)));
    }
}

#[test]
fn an_assumed_pause_is_bounded_and_ends_with_a_probe() {
    let mut account = account(10, &["x", "y"]);
    account.assume_pause(START + s(10_000), START);
    assert_eq!(account.paused_until(START), Some(START + s(300)));
    assert_eq!(woken(&mut account, START + s(299)), [""; 0]);
    assert_eq!(account.step(START + s(299)).next, Some(START + s(300)));
    assert_eq!(woken(&mut account, START + s(300)), ["x"]);
}

#[test]
fn slots_go_by_priority_then_by_age_and_every_tenth_to_the_oldest() {
    let mut account = account(0, &[]);
    let deadline = START + s(5);
    let mut wait = |priority| account.wait_for_slot(READ, priority, deadline);
    let observer = wait(Priority::Observe);
    let looks: Vec<_> = (0..12).map(|_| wait(Priority::Attempt)).collect();
    let probe = wait(Priority::Probe);
    let record = wait(Priority::BeforeRecord);
    let effects = account.step(START).effects.into_iter();
    let order = effects.map(|effect| match effect {
        Effect::Slot { waiter, .. } => waiter,
        Effect::Wake(_) | Effect::Late(_) => panic!("{effect:?}"),
    });
    let mut expected = vec![record, probe];
    expected.extend(&looks[..7]);
    expected.push(observer);
    expected.extend(&looks[7..]);
    assert_eq!(order.collect::<Vec<_>>(), expected);
}

#[test]
fn a_waiter_is_told_when_its_time_is_up_and_not_before() {
    let mut account = account(1, &[]);
    let now = START + s(2);
    let deadline = now + ms(700);
    let mut wait = || account.wait_for_slot(SUBMIT, Priority::Attempt, deadline);
    let (first, second, gone) = (wait(), wait(), wait());
    account.cancel_wait(SUBMIT, gone);
    let step = account.step(now);
    assert!(matches!(step.effects[..], [Effect::Slot { waiter, .. }] if waiter == first));
    assert_eq!(account.step(deadline).effects, []);
    let next = account.step(deadline).next.unwrap();
    assert!(next > deadline && next < deadline + ms(1));
    assert_eq!(account.step(next).effects, [Effect::Late(second)]);
}

#[test]
fn the_resource_by_which_a_person_asks_makes_the_probe() {
    let mut account = account(10, &["x", "y", "z"]);
    account.assume_hold(Cause::Account, START + s(200), START);
    assert_eq!(woken(&mut account, START + s(5)), [""; 0]);
    account.request_probe("y", START + s(6));
    account.request_probe("z", START + s(6));
    assert_eq!(
        woken(&mut account, START + s(6)),
        ["z"],
        "the last who asked"
    );
    let turn = take(&mut account, "z", START + s(6));
    assert_eq!(turn.kind, TurnKind::ProbeAttempt);
    account.drop_turn("z", turn.id, START + s(6));
    // A request by a resource that does not wait does not keep the others from it.
    account.request_probe("z", START + s(7));
    assert_eq!(woken(&mut account, START + s(11)), ["x"]);
}

/// Takes the slot that is free at `now`, and is throttled.
fn throttled(account: &mut Account, action: Action, now: Duration) {
    let send = slot_at(account, action, now);
    account.replied_throttled(action, send, now + ms(5));
    account.report(action, THROTTLED, now + ms(5));
}

/// Both are throttled, then only reads are tried: their result counts for submissions, too.
#[test]
fn a_server_that_reads_find_shut_did_not_throttle_submissions_for_their_rate() {
    let mut account = account(10, &[]);
    let now = START + s(2);
    throttled(&mut account, SUBMIT, now);
    throttled(&mut account, READ, now + ms(1_100));
    throttled(&mut account, READ, now + ms(2_200));
    let now = now + s(5);
    let send = slot_at(&mut account, SUBMIT, now);
    account.replied(SUBMIT, send, now + ms(5));
    account.report(SUBMIT, Report::Answered, now + ms(5));
    assert_eq!(account.stats(now + ms(5)).verify.rate, Some(10.0));
}
