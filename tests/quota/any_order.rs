//! Invariants of an account for any events, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phone_migration_operator::quota::account::{Account, Effect, Taken};
use phone_migration_operator::quota::{Action, Cause, Priority, Report, Settings, TurnKind};
use proptest::prelude::*;

use super::{ACCOUNT, CLOCK, CREDENTIALS, READ, SUBMIT, ms, queue_entry, s, slot_of, uid_of};

const START: Duration = s(1_000);
const UIDS: u8 = 12;

#[derive(Clone, Debug)]
enum Op {
    Enqueue(u8),
    Leave(u8),
    Take(u8),
    Drop(u8),
    /// Uses the turn, and reports this on the call.
    Use(u8, Report),
    Report(Action, Report),
    Advance(u64),
    Active(bool),
    Assume(Cause),
    /// Claims are refused.
    LedgerBlocked,
    LedgerProbed(bool),
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        4 => Just(Report::Answered),
        1 => prop::option::of(0u64..200).prop_map(|after| Report::Throttled { retry_after: after.map(s) }),
        1 => Just(CREDENTIALS),
        1 => Just(ACCOUNT),
        1 => Just(CLOCK),
        1 => Just(Report::NotSent),
        1 => Just(Report::Unknown),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let uid = 0..UIDS;
    let action = prop::sample::select(vec![SUBMIT, READ]);
    let cause = prop::sample::select(vec![Cause::Account, Cause::Credentials, Cause::Transport]);
    prop_oneof![
        6 => uid.clone().prop_map(Op::Enqueue),
        1 => uid.clone().prop_map(Op::Leave),
        6 => uid.clone().prop_map(Op::Take),
        1 => uid.clone().prop_map(Op::Drop),
        4 => (uid, report()).prop_map(|(uid, report)| Op::Use(uid, report)),
        2 => (action, report()).prop_map(|(action, report)| Op::Report(action, report)),
        6 => (0u64..15_000).prop_map(Op::Advance),
        1 => any::<bool>().prop_map(Op::Active),
        1 => cause.prop_map(Op::Assume),
        1 => Just(Op::LedgerBlocked),
        1 => any::<bool>().prop_map(Op::LedgerProbed),
    ]
}

struct Case {
    account: Account,
    now: Duration,
    active: bool,
    /// Resources that asked for a turn and have neither got nor given up one.
    waiting: BTreeSet<u8>,
    turns: BTreeMap<u8, Taken>,
}

fn name(uid: u8) -> String {
    format!("{uid}")
}

impl Case {
    fn new(qps: u32) -> Self {
        Self {
            account: Account::new(Settings { qps }, START),
            now: START,
            active: true,
            waiting: BTreeSet::new(),
            turns: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Enqueue(uid) => {
                let standing = self.standing(uid);
                self.account
                    .enqueue(queue_entry(&format!("ns{}", uid % 3), &name(uid)), now);
                if !standing {
                    self.waiting.insert(uid);
                }
            }
            Op::Leave(uid) => {
                self.account.leave(&name(uid), now);
                self.waiting.remove(&uid);
            }
            Op::Take(uid) => {
                if let Some(turn) = self.account.take_turn(&name(uid), now) {
                    assert!(self.waiting.remove(&uid), "a turn that nobody asked for");
                    assert!(!self.standing(uid), "two turns of one uid");
                    self.turns.insert(uid, turn);
                }
            }
            Op::Drop(uid) => {
                if let Some(turn) = self.turns.remove(&uid) {
                    self.account.drop_turn(&name(uid), turn.id, now);
                }
            }
            Op::Use(uid, report) => {
                self.use_turn(uid, report);
            }
            Op::Report(action, report) => self.account.report(action, report, now),
            Op::Advance(millis) => self.now += ms(millis),
            Op::Active(active) => {
                self.active = active;
                self.account.set_active(active, now);
            }
            Op::Assume(cause) => self.account.assume_hold(cause, now + s(20), now),
            Op::LedgerBlocked => self.account.hold_ledger(now),
            Op::LedgerProbed(passed) => self.account.ledger_probed(passed, now),
        }
    }

    fn standing(&self, uid: u8) -> bool {
        self.turns
            .get(&uid)
            .is_some_and(|turn| self.account.turn_stands(&name(uid), turn.id))
    }

    /// True if a call was made.
    fn use_turn(&mut self, uid: u8, report: Report) -> bool {
        let Some(turn) = self.turns.remove(&uid) else {
            return false;
        };
        let now = self.now;
        let waiter = self.account.wait_for_slot(SUBMIT, Priority::Attempt, now);
        let effects = self.step();
        let Some(send) = slot_of(&effects, waiter) else {
            self.account.cancel_wait(SUBMIT, waiter);
            self.account.drop_turn(&name(uid), turn.id, now);
            return false;
        };
        let stood = self.account.turn_stands(&name(uid), turn.id);
        let held = self.account.hold().is_some();
        let used = self.account.use_turn(&name(uid), turn.id, now, send);
        assert!(stood || !used, "a void turn was used");
        assert!(
            !held || !used || self.account.hold().unwrap().cause == Cause::Account,
            "a submission during a hold that reads probe"
        );
        if used {
            self.account.replied(SUBMIT, send, now);
            self.account.report(SUBMIT, report, now);
        } else {
            self.account.unsent(SUBMIT, send, now);
            self.account.drop_turn(&name(uid), turn.id, now);
        }
        used
    }

    /// A step, and everything that must be true of it.
    fn step(&mut self) -> Vec<Effect> {
        let now = self.now;
        let before = self.account.stats(now);
        let step = self.account.step(now);
        let after = self.account.stats(now);
        assert!(step.next.is_none_or(|next| next > now), "a hot loop");
        for effect in &step.effects {
            if let Effect::Wake(key) = effect {
                let uid: u8 = uid_of(key).parse().unwrap();
                if !self.account.is_waiting(&name(uid)) {
                    // Its turn ran out: it was woken, and may ask again.
                    assert!(self.waiting.remove(&uid), "woken for nothing");
                }
            }
        }
        for uid in &self.waiting {
            assert!(self.account.is_waiting(&name(*uid)), "{uid} was lost");
        }
        // The queue only shrinks here by grants.
        let granted = before.queued - after.queued;
        if !self.active || after.paused_until.is_some() {
            assert_eq!(granted, 0, "granted while inactive or paused");
        }
        if let Some(hold) = after.hold {
            let probes = usize::from(hold.cause != Cause::Ledger);
            assert!(
                granted <= probes && after.outstanding <= probes,
                "more than a probe in a hold"
            );
        }
        assert_eq!(
            self.account.step(now).effects,
            [],
            "a step does all that is due"
        );
        step.effects
    }

    /// No more faults from now on: every resource gets through in bounded time.
    fn drain(&mut self) {
        self.apply(Op::Active(true));
        self.apply(Op::LedgerProbed(true));
        for uid in 0..UIDS {
            self.apply(Op::Enqueue(uid));
        }
        let began = self.now;
        let mut left: BTreeSet<u8> = (0..UIDS).collect();
        while !left.is_empty() {
            assert!(
                self.now < began + s(1_200),
                "{left:?} starve: {:?}",
                self.account.stats(self.now)
            );
            self.step();
            for uid in 0..UIDS {
                self.apply(Op::Take(uid));
                let Some(turn) = self.turns.get(&uid).copied() else {
                    continue;
                };
                if turn.kind == TurnKind::ProbeRead {
                    self.account.report(READ, Report::Answered, self.now);
                }
                if self.use_turn(uid, Report::Answered) {
                    left.remove(&uid);
                }
            }
            for uid in left.clone() {
                self.apply(Op::Enqueue(uid));
            }
            self.now += ms(250);
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nobody_starves(
        qps in prop::sample::select(vec![0u32, 1, 10]),
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let mut case = Case::new(qps);
        for op in ops {
            case.apply(op);
            case.step();
        }
        case.drain();
    }
}
