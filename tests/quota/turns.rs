//! Turns and slots of one account, one by one.

use std::time::Duration;

use phone_migration_operator::quota::account::{Account, Effect, Taken};
use phone_migration_operator::quota::{
    Action, BlockCause, Cause, Priority, Report, Settings, TurnKind,
};

use super::{ms, s, ticket};

const START: Duration = s(1_000);

fn account(qps: u32, uids: &[&str]) -> Account {
    let mut account = Account::new(Settings { qps }, START);
    for uid in uids {
        account.enqueue(ticket("a", uid), START);
    }
    account
}

/// Who is woken by a step at `now`.
fn woken(account: &mut Account, now: Duration) -> Vec<String> {
    let effects = account.step(now).effects;
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Wake(key) => Some(key.name.trim_start_matches("name-").to_owned()),
            Effect::Slot { .. } | Effect::Late(_) => None,
        })
        .collect()
}

fn take(account: &mut Account, uid: &str, now: Duration) -> Taken {
    account.take_turn(uid, now).expect("a granted turn")
}

/// Sends at `now`, which must be free.
fn use_turn(account: &mut Account, uid: &str, turn: Taken, now: Duration) -> bool {
    let waiter = account.wait_for_slot(Action::Verify, Priority::Look, now);
    let effects = account.step(now).effects;
    let send = effects.iter().find_map(|effect| match effect {
        Effect::Slot {
            waiter: w, send, ..
        } if *w == waiter => Some(*send),
        Effect::Slot { .. } | Effect::Wake(_) | Effect::Late(_) => None,
    });
    let send = send.expect("a free slot");
    let used = account.use_turn(uid, turn.id, now, send);
    if used {
        account.replied(Action::Verify, send, now);
    } else {
        account.unsent(Action::Verify, send, now);
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
    account.enqueue(ticket("a", "x"), granted);
    assert_eq!(
        woken(&mut account, granted),
        Vec::<String>::new(),
        "left alone"
    );
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
    assert_eq!(
        woken(&mut account, START + s(10) - ms(1)),
        Vec::<String>::new()
    );
    // `y` is told to ask again, if it still wants a turn; `z` gets one.
    assert_eq!(woken(&mut account, START + s(10)), ["y", "z"]);
    assert!(!account.is_waiting("y"));
    assert!(
        !account.turn_stands("x", turn.id),
        "taken, and not used for 10 s"
    );
    account.enqueue(ticket("a", "y"), START + s(10));
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
    assert_eq!(woken(&mut account, START + s(5)), Vec::<String>::new());
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
    account.report(
        Action::ReadStatus,
        Report::Blocked(BlockCause::Clock),
        START + s(2),
    );
    assert!(!account.turn_stands("x", turn.id));
    assert!(!use_turn(&mut account, "x", turn, START + s(2)));
    assert_eq!(account.take_turn("y", START + s(2)), None);
    assert!(account.is_waiting("y"));
    assert_eq!(woken(&mut account, START + s(6)), Vec::<String>::new());
    // The probe is due: one turn, which may not send before the hold has ended.
    assert_eq!(woken(&mut account, START + s(7)), ["y"]);
    let probe = take(&mut account, "y", START + s(7));
    assert_eq!(probe.kind, TurnKind::ProbeRead);
    assert!(account.turn_stands("y", probe.id));
    assert!(!use_turn(&mut account, "y", probe, START + s(7)));
    account.report(Action::ReadStatus, Report::Answered, START + s(8));
    assert_eq!(account.hold(), None);
    assert!(account.turn_stands("y", probe.id));
    assert_eq!(
        woken(&mut account, START + s(8)),
        Vec::<String>::new(),
        "one until it is proven"
    );
    assert!(use_turn(&mut account, "y", probe, START + s(8)));
    account.report(Action::Verify, Report::Answered, START + s(8));
    assert_eq!(woken(&mut account, START + s(8)), ["z"]);
}

#[test]
fn a_failed_probe_voids_its_turn_and_the_next_probe_is_anothers() {
    let mut account = account(10, &["x", "y"]);
    account.assume_hold(Cause::Transport, START + s(1), START);
    assert_eq!(woken(&mut account, START + s(1)), ["x"]);
    let probe = take(&mut account, "x", START + s(1));
    account.report(Action::ReadStatus, Report::NotSent, START + s(2));
    assert!(!account.turn_stands("x", probe.id));
    account.drop_turn("x", probe.id, START + s(2));
    account.enqueue(ticket("a", "x"), START + s(2));
    assert_eq!(
        woken(&mut account, START + s(12) - ms(1)),
        Vec::<String>::new()
    );
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
    account.report(Action::ReadStatus, Report::Answered, START + s(3));
    assert_eq!(account.hold().unwrap().cause, Cause::Account);
    assert_eq!(
        woken(&mut account, START + s(3)),
        Vec::<String>::new(),
        "`x` is the probe"
    );
    assert!(use_turn(&mut account, "x", probe, START + s(3)));
    account.report(Action::Verify, Report::Answered, START + s(3));
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
    let waiter = account.wait_for_slot(Action::Verify, Priority::Probe, START + s(4));
    let effects = account.step(START + s(2)).effects;
    let [
        Effect::Slot {
            waiter: w, send, ..
        },
    ] = effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(w, waiter);
    assert!(account.use_turn("x", probe.id, START + s(2), send));
    account.unsent(Action::Verify, send, START + s(2));
    assert_eq!(woken(&mut account, START + s(3)), ["y"]);
}

#[test]
fn a_throttle_of_either_action_pauses_both_and_slows_one() {
    for (action, other) in [
        (Action::Verify, Action::ReadStatus),
        (Action::ReadStatus, Action::Verify),
    ] {
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
        for lane in [action, other] {
            account.wait_for_slot(lane, Priority::Look, now + s(60));
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
        let rate = |lane| match lane {
            Action::Verify => stats.verify.rate,
            Action::ReadStatus => stats.read_status.rate,
        };
        assert_eq!((rate(action), rate(other)), (Some(5.0), Some(10.0)));
    }
}

#[test]
fn an_assumed_pause_is_bounded_and_ends_with_a_probe() {
    let mut account = account(10, &["x", "y"]);
    account.assume_pause(START + s(10_000), START);
    assert_eq!(account.paused_until(START), Some(START + s(300)));
    assert_eq!(woken(&mut account, START + s(299)), Vec::<String>::new());
    assert_eq!(account.step(START + s(299)).next, Some(START + s(300)));
    assert_eq!(woken(&mut account, START + s(300)), ["x"]);
}

#[test]
fn slots_go_by_priority_then_by_age_and_every_tenth_to_the_oldest() {
    let mut account = account(0, &[]);
    let deadline = START + s(5);
    let mut wait = |priority| account.wait_for_slot(Action::ReadStatus, priority, deadline);
    let observer = wait(Priority::Observe);
    let looks: Vec<_> = (0..12).map(|_| wait(Priority::Look)).collect();
    let probe = wait(Priority::Probe);
    let record = wait(Priority::BeforeRecord);
    let order: Vec<_> = account
        .step(START)
        .effects
        .into_iter()
        .map(|effect| match effect {
            Effect::Slot { waiter, .. } => waiter,
            Effect::Wake(_) | Effect::Late(_) => panic!("{effect:?}"),
        })
        .collect();
    let mut expected = vec![record, probe];
    expected.extend(&looks[..7]);
    expected.push(observer);
    expected.extend(&looks[7..]);
    assert_eq!(order, expected);
}

#[test]
fn a_waiter_is_told_when_its_time_is_up_and_not_before() {
    let mut account = account(1, &[]);
    let now = START + s(2);
    let deadline = now + ms(700);
    let first = account.wait_for_slot(Action::Verify, Priority::Look, deadline);
    let second = account.wait_for_slot(Action::Verify, Priority::Look, deadline);
    let gone = account.wait_for_slot(Action::Verify, Priority::Look, deadline);
    account.cancel_wait(Action::Verify, gone);
    let step = account.step(now);
    assert!(matches!(step.effects[..], [Effect::Slot { waiter, .. }] if waiter == first));
    assert_eq!(account.step(deadline).effects, []);
    let next = account.step(deadline).next.unwrap();
    assert!(next > deadline && next < deadline + ms(1));
    assert_eq!(account.step(next).effects, [Effect::Late(second)]);
}
