//! The schedule of polls of Secrets: which resource has a turn when.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use phone_migration_operator::api::object_key::ObjectKey;
use phone_migration_operator::api::poll_interval::Interval;
use phone_migration_operator::operator::state::polls::{
    BETWEEN_TURNS, PollSchedule, PollTurn, TurnPurpose,
};
use proptest::prelude::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn key(namespace: impl ToString, name: impl ToString) -> ObjectKey {
    ObjectKey {
        namespace: namespace.to_string(),
        name: name.to_string(),
    }
}

/// Time since the last change.
const FRESH: Duration = s(60);
const WAITING: Duration = s(600);
const RESTING: Duration = s(3600);

/// A schedule whose resources read their Secrets at each turn and go on waiting.
#[derive(Default)]
struct Sim {
    schedule: PollSchedule,
    now: Duration,
    unchanged: HashMap<ObjectKey, Duration>,
    /// Reads in flight, by their end.
    reads: VecDeque<(Duration, ObjectKey)>,
    turns: Vec<(Duration, ObjectKey)>,
}

impl Sim {
    /// A resource that asks at once, as after a restart.
    fn join(&mut self, key: ObjectKey, unchanged: Duration) {
        self.schedule.ask(&key, self.now);
        self.unchanged.insert(key, unchanged);
    }

    /// One that read its Secret just now, as after a change.
    fn read(&mut self, key: &ObjectKey) {
        self.schedule.forget(key);
        let interval = Interval::of(self.unchanged[key]);
        self.schedule.plan(key, interval, self.now, self.now);
    }

    /// Runs until then; a read takes `latency`.
    fn run(&mut self, until: Duration, latency: Duration) {
        loop {
            let turn = self.schedule.next().filter(|at| *at <= until);
            let read = self
                .reads
                .front()
                .map(|(at, _)| *at)
                .filter(|at| *at <= until);
            let Some(at) = [turn, read].into_iter().flatten().min() else {
                break;
            };
            self.now = self.now.max(at);
            if read == Some(at)
                && let Some((_, key)) = self.reads.pop_front()
            {
                self.read(&key);
            } else if let Some(PollTurn { key, .. }) = self.schedule.take(self.now) {
                self.reads.push_back((self.now + latency, key.clone()));
                self.turns.push((self.now, key));
            }
        }
        self.now = until;
    }

    /// The longest time between two turns of each resource, or since its last one.
    fn worst_gaps(&self) -> HashMap<ObjectKey, Duration> {
        let mut gaps: HashMap<ObjectKey, (Duration, Duration)> = HashMap::new();
        for (at, key) in &self.turns {
            let (last, worst) = gaps.entry(key.clone()).or_insert((*at, Duration::ZERO));
            (*last, *worst) = (*at, (*worst).max(*at - *last));
        }
        let gaps = gaps.into_iter();
        gaps.map(|(key, (last, worst))| (key, worst.max(self.now - last)))
            .collect()
    }

    fn worst_gap(&self, key: &ObjectKey) -> Duration {
        self.worst_gaps()[key]
    }

    fn assert_paced(&self) {
        for pair in self.turns.windows(21) {
            assert!(pair[20].0 - pair[0].0 >= s(1), "{pair:?}");
        }
    }
}

#[test]
fn polls_are_every_5_to_10_seconds_then_every_60_then_every_5_minutes() {
    for (unchanged, after, within) in [
        (0, 5, 10),
        (299, 5, 10),
        (300, 50, 60),
        (1799, 50, 60),
        (1800, 270, 300),
        (1_000_000, 270, 300),
    ] {
        let interval = Interval::of(s(unchanged));
        assert_eq!((interval.after, interval.within), (s(after), s(within)));
    }
}

/// The case from production: 6,000 of one tenant, and one of another.
#[test]
fn a_resource_alone_in_its_namespace_is_polled_in_time_whatever_the_others_do() {
    for (unchanged, within) in [(FRESH, s(10)), (WAITING, s(60)), (RESTING, s(300))] {
        for crowd in [FRESH, WAITING, RESTING] {
            let mut sim = Sim::default();
            for n in 0..6_000 {
                sim.join(key("crowd", n), crowd);
            }
            let alone = key("alone", "m");
            sim.join(alone.clone(), unchanged);
            sim.run(s(900), ms(20));
            sim.assert_paced();
            let worst = sim.worst_gap(&alone);
            assert!(worst <= within, "{unchanged:?} beside {crowd:?}: {worst:?}");
            // The rest is the crowd's.
            assert!(sim.turns.len() >= 900 * 20 - 2, "{}", sim.turns.len());
        }
    }
}

/// As many namespaces as there are turns for.
#[test]
fn two_hundred_namespaces_are_polled_every_10_seconds_and_1200_every_60() {
    for (namespaces, unchanged, within) in [(200, FRESH, s(10)), (1_200, WAITING, s(60))] {
        let mut sim = Sim::default();
        for namespace in 0..namespaces {
            let crowd = if namespace % 10 == 0 { 20 } else { 1 };
            for n in 0..crowd {
                sim.join(key(namespace, n), unchanged);
            }
        }
        // The first requests of all of them take a while.
        sim.run(s(1_000), Duration::ZERO);
        sim.turns.clear();
        sim.run(s(1_400), Duration::ZERO);
        sim.assert_paced();
        let gaps = sim.worst_gaps();
        for namespace in (0..namespaces).filter(|namespace| namespace % 10 != 0) {
            let worst = gaps[&key(namespace, 0)];
            assert!(worst <= within, "{namespaces}: {worst:?}");
        }
    }
}

/// A thousand are annotated every 6 s: each change reads at once, and none of them takes another
/// resource's turn.
#[test]
fn a_change_costs_nobody_a_turn() {
    let mut sim = Sim::default();
    let changing: Vec<ObjectKey> = (0..1_000)
        .map(|n| key("a", format!("changing-{n}")))
        .collect();
    for key in &changing {
        sim.unchanged.insert(key.clone(), FRESH);
    }
    let (newcomer, alone) = (key("a", "newcomer"), key("b", "alone"));
    for round in 0..100 {
        for key in &changing {
            sim.read(key);
        }
        if round == 50 {
            sim.unchanged.insert(newcomer.clone(), FRESH);
            sim.unchanged.insert(alone.clone(), FRESH);
            sim.read(&newcomer);
            sim.read(&alone);
        }
        sim.run(sim.now + s(6), ms(20));
    }
    let first = |key: &ObjectKey| {
        sim.turns
            .iter()
            .find(|(_, of)| of == key)
            .map(|(at, _)| *at)
    };
    for key in [newcomer, alone] {
        let waited = first(&key).unwrap() - s(300);
        assert!(waited <= s(10), "{key}: {waited:?}");
    }
}

#[test]
fn what_is_gone_has_no_turn_and_keeps_nobody_waiting() {
    let mut sim = Sim::default();
    for n in 0..2_000 {
        sim.join(key("a", format!("gone-{n}")), FRESH);
    }
    sim.run(s(10), ms(20));
    let left = key("a", "left");
    sim.join(left.clone(), FRESH);
    for n in 0..2_000 {
        sim.schedule.forget(&key("a", format!("gone-{n}")));
    }
    assert_eq!(sim.schedule.len(), 1);
    let turn = sim.schedule.take(sim.now + BETWEEN_TURNS);
    assert_eq!(turn.map(|turn| turn.key), Some(left));
    assert!(sim.schedule.is_empty());
    assert_eq!(
        (sim.schedule.next(), sim.schedule.take(s(60))),
        (None, None)
    );
}

#[test]
fn what_is_asked_for_goes_before_what_its_own_namespace_waits_for_and_once() {
    let mut schedule = PollSchedule::default();
    let interval = Interval::of(FRESH);
    for n in 0..100 {
        schedule.plan(&key("a", n), interval, s(0), s(0));
    }
    for _ in 0..10 {
        schedule.ask(&key("a", 99), s(100));
    }
    // A plan made meanwhile is not a read of the Secret.
    schedule.plan(&key("a", 99), interval, s(100), s(100));
    schedule.cancel(&key("a", 99));
    let turn = |key| PollTurn {
        key,
        purpose: TurnPurpose::Read,
    };
    assert_eq!(schedule.take(s(100)), Some(turn(key("a", 99))));
    let mut left = Vec::new();
    for n in 1..=200 {
        left.extend(schedule.take(s(100) + BETWEEN_TURNS * n));
    }
    assert_eq!(left.len(), 99);
    assert!(!left.contains(&turn(key("a", 99))));
}

/// Secrets of one namespace that change all the time leave the others their turns.
#[test]
fn a_namespace_that_always_asks_does_not_starve_the_others() {
    let mut sim = Sim::default();
    let alone: Vec<ObjectKey> = (0..150).map(|n| key(format!("alone-{n}"), "m")).collect();
    for key in &alone {
        sim.join(key.clone(), FRESH);
    }
    for n in 0..3_000 {
        sim.unchanged.insert(key("crowd", n), FRESH);
    }
    for second in 1..120 {
        for n in 0..3_000 {
            sim.schedule.ask(&key("crowd", n), sim.now);
        }
        sim.run(s(second), ms(20));
    }
    let gaps = sim.worst_gaps();
    for key in &alone {
        let worst = gaps[key];
        assert!(worst <= s(10) + ms(200), "{key}: {worst:?}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Plan(usize, u64),
    Show(usize, u64),
    Ask(usize),
    Cancel(usize),
    Forget(usize),
    Wait(u64),
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..12usize, 0..4000u64).prop_map(|(n, unchanged)| Op::Plan(n, unchanged)),
        (0..12usize, 0..20u64).prop_map(|(n, after)| Op::Show(n, after)),
        (0..12usize).prop_map(Op::Ask),
        (0..12usize).prop_map(Op::Cancel),
        (0..12usize).prop_map(Op::Forget),
        (1..20_000u64).prop_map(Op::Wait),
    ]
}

proptest! {
    /// Against a plain list of the plan: a turn is never early, never unplanned, never within 50 ms
    /// of another one, and none is missed while a resource may have it.
    #[test]
    fn turns_are_of_what_is_planned(ops in prop::collection::vec(an_op(), 1..200)) {
        let keys: Vec<ObjectKey> = (0..12).map(|n| key(n % 3, n)).collect();
        let mut schedule = PollSchedule::default();
        // When each may have its turn, and whether it was requested.
        let mut planned: HashMap<ObjectKey, (Duration, bool)> = HashMap::new();
        let (mut now, mut next_turn) = (s(1000), s(0));
        let plan = |planned: &mut HashMap<ObjectKey, (Duration, bool)>, key: &ObjectKey, at| {
            if planned.get(key).is_none_or(|(_, asked)| !asked) {
                planned.insert(key.clone(), (at, false));
            }
        };
        for op in ops {
            match op {
                Op::Plan(n, unchanged) => {
                    let interval = Interval::of(s(unchanged));
                    schedule.plan(&keys[n], interval, now, now);
                    plan(&mut planned, &keys[n], now + interval.after);
                }
                Op::Show(n, after) => {
                    schedule.show(&keys[n], now + s(after), now);
                    plan(&mut planned, &keys[n], now + s(after));
                }
                Op::Ask(n) => {
                    schedule.ask(&keys[n], now);
                    let known = planned.entry(keys[n].clone()).or_insert((now, true));
                    if !known.1 {
                        *known = (now, true);
                    }
                }
                Op::Cancel(n) => {
                    schedule.cancel(&keys[n]);
                    if planned.get(&keys[n]).is_some_and(|(_, asked)| !asked) {
                        planned.remove(&keys[n]);
                    }
                }
                Op::Forget(n) => {
                    schedule.forget(&keys[n]);
                    planned.remove(&keys[n]);
                }
                Op::Wait(millis) => {
                    let until = now + ms(millis);
                    loop {
                        let expected = planned.values().map(|(at, _)| (*at).max(next_turn)).min();
                        // An overdue one is due now.
                        let next = schedule.next().map(|at| at.max(now));
                        prop_assert_eq!(next, expected.map(|at| at.max(now)));
                        let Some(at) = next.filter(|at| *at <= until) else { break };
                        now = at;
                        let turn = schedule.take(now).expect("somebody may have a turn");
                        let (earliest, _) = planned.remove(&turn.key).expect("it was planned");
                        prop_assert!(earliest <= now && now >= next_turn);
                        next_turn = now + BETWEEN_TURNS;
                        prop_assert_eq!(schedule.take(now), None);
                    }
                    now = until;
                }
            }
            prop_assert_eq!(schedule.len(), planned.len());
        }
    }
}
