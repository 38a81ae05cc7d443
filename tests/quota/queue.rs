//! The fair queue against a naive model, and its promises by name.

use std::collections::HashSet;
use std::time::Duration;

use phone_migration_operator::quota::queue::{FairQueue, Waiting};
use phone_migration_operator::quota::{Pair, QueueEntry};
use proptest::prelude::*;

use super::{at, queue_entry, s};

fn uids(queue: &mut FairQueue) -> Vec<String> {
    std::iter::from_fn(|| queue.pop())
        .map(|w| w.queue_entry.uid)
        .collect()
}

#[test]
fn one_ticket_among_two_thousand_is_out_within_two_turns() {
    for served_before in 0..4 {
        let mut queue = FairQueue::new();
        for i in 0..2_000 {
            queue.enqueue(queue_entry("a", &format!("a{i:04}")), s(0));
        }
        for _ in 0..served_before {
            queue.pop().unwrap();
        }
        queue.enqueue(queue_entry("b", "b"), s(1));
        assert!(queue.position("b").unwrap() < 2);
        let next = [queue.pop().unwrap(), queue.pop().unwrap()];
        assert!(next.iter().any(|w| w.queue_entry.uid == "b"));
    }
}

#[test]
fn a_busy_namespace_does_not_gain_by_leaving_and_joining() {
    let mut queue = FairQueue::new();
    for name in ["a", "b", "c"] {
        queue.enqueue(queue_entry(name, &format!("{name}1")), s(0));
        queue.enqueue(queue_entry(name, &format!("{name}2")), s(0));
    }
    assert_eq!(queue.pop().unwrap().queue_entry.uid, "a1");
    // `a` empties and comes back: behind the others, as if it had stayed.
    queue.leave("a2");
    queue.enqueue(queue_entry("a", "a3"), s(1));
    assert_eq!(uids(&mut queue), ["b1", "c1", "a3", "b2", "c2"]);
}

#[test]
fn inside_a_namespace_the_earliest_expiry_goes_first_then_the_oldest_then_the_uid() {
    let mut queue = FairQueue::new();
    let with = |uid: &str, expires: Option<i64>, created: i64| QueueEntry {
        expires_at: expires.map(at),
        created_at: at(created),
        ..queue_entry("a", uid)
    };
    for queue_entry in [
        with("never-old", None, 1),
        with("never-new-b", None, 2),
        with("never-new-a", None, 2),
        with("late", Some(200), 0),
        with("soon-new", Some(100), 6),
        with("soon-old", Some(100), 5),
    ] {
        queue.enqueue(queue_entry, s(0));
    }
    let order = [
        "soon-old",
        "soon-new",
        "late",
        "never-old",
        "never-new-a",
        "never-new-b",
    ];
    for (position, uid) in order.iter().enumerate() {
        assert_eq!(queue.position(uid), Some(position));
    }
    assert_eq!(uids(&mut queue), order);
}

#[test]
fn asking_again_updates_the_expiry_and_nothing_else() {
    let mut queue = FairQueue::new();
    queue.enqueue(queue_entry("a", "a1"), s(0));
    queue.enqueue(queue_entry("a", "a2"), s(0));
    queue.enqueue(queue_entry("b", "b1"), s(0));
    for second in 1..5 {
        queue.enqueue(queue_entry("a", "a1"), s(second));
    }
    assert_eq!(queue.count(), 3);
    let urgent = QueueEntry {
        expires_at: Some(at(9)),
        ..queue_entry("a", "a2")
    };
    queue.enqueue(urgent.clone(), s(7));
    let first = queue.pop().unwrap();
    assert_eq!(
        first,
        Waiting {
            queue_entry: urgent,
            since: s(0)
        }
    );
    assert_eq!(uids(&mut queue), ["b1", "a1"]);
}

#[test]
fn a_withdrawn_turn_goes_back_to_its_place() {
    let mut queue = FairQueue::new();
    for uid in ["a1", "a2", "b1", "b2"] {
        queue.enqueue(queue_entry(&uid[..1], uid), s(0));
    }
    let first = queue.pop().unwrap();
    let second = queue.pop().unwrap();
    // The last granted goes back first.
    queue.put_back(second);
    queue.put_back(first);
    assert_eq!(uids(&mut queue), ["a1", "b1", "a2", "b2"]);
}

/// The same order, in a naive implementation.
#[derive(Default)]
struct Model {
    /// Namespaces in the order of service, each with its queue entries.
    round: Vec<(String, Vec<Waiting>)>,
}

impl Model {
    fn urgency(w: &Waiting) -> (bool, Option<jiff::Timestamp>, jiff::Timestamp, String) {
        let t = &w.queue_entry;
        (
            t.expires_at.is_none(),
            t.expires_at,
            t.created_at,
            t.uid.clone(),
        )
    }

    fn remove(&mut self, uid: &str) -> Option<Waiting> {
        for n in 0..self.round.len() {
            let queue_entries = &mut self.round[n].1;
            if let Some(i) = queue_entries.iter().position(|w| w.queue_entry.uid == uid) {
                let gone = queue_entries.remove(i);
                if queue_entries.is_empty() {
                    self.round.remove(n);
                }
                return Some(gone);
            }
        }
        None
    }

    fn add(&mut self, waiting: Waiting, front: bool) {
        let name = waiting.queue_entry.namespace.clone();
        let known = self.round.iter().position(|(n, _)| *n == name);
        let n = match (known, front) {
            (Some(n), false) => n,
            (Some(n), true) => {
                let namespace = self.round.remove(n);
                self.round.insert(0, namespace);
                0
            }
            (None, true) => {
                self.round.insert(0, (name, Vec::new()));
                0
            }
            (None, false) => {
                self.round.push((name, Vec::new()));
                self.round.len() - 1
            }
        };
        self.round[n].1.push(waiting);
        self.round[n].1.sort_by_key(Self::urgency);
    }

    fn enqueue(&mut self, queue_entry: QueueEntry, now: Duration) {
        for (name, queue_entries) in &mut self.round {
            if let Some(known) = queue_entries
                .iter_mut()
                .find(|w| w.queue_entry.uid == queue_entry.uid)
            {
                assert_eq!(*name, queue_entry.namespace);
                known.queue_entry = queue_entry;
                queue_entries.sort_by_key(Self::urgency);
                return;
            }
        }
        self.add(
            Waiting {
                queue_entry,
                since: now,
            },
            false,
        );
    }

    fn pop(&mut self, avoided: &HashSet<String>, unwanted: u8) -> Option<Waiting> {
        let free = |w: &Waiting| {
            !avoided.contains(&w.queue_entry.uid) && w.queue_entry.cust_space_id != space(unwanted)
        };
        for n in 0..self.round.len() {
            let queue_entries = &mut self.round[n].1;
            if let Some(i) = queue_entries.iter().position(free) {
                let taken = queue_entries.remove(i);
                let namespace = self.round.remove(n);
                if !namespace.1.is_empty() {
                    self.round.push(namespace);
                }
                return Some(taken);
            }
        }
        None
    }
}

#[derive(Clone, Debug)]
enum Op {
    Enqueue {
        uid: u8,
        expires: Option<i64>,
        created: i64,
    },
    Leave(u8),
    Pop,
    PopWhere(HashSet<u8>, u8),
    PopUid(u8),
    PutBack,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..24, prop::option::of(0i64..4), 0i64..3)
            .prop_map(|(uid, expires, created)| Op::Enqueue { uid, expires, created }),
        1 => (0u8..24).prop_map(Op::Leave),
        3 => Just(Op::Pop),
        1 => (prop::collection::hash_set(0u8..24, 0..16), 0u8..4)
            .prop_map(|(uids, unwanted)| Op::PopWhere(uids, unwanted)),
        1 => (0u8..24).prop_map(Op::PopUid),
        1 => Just(Op::PutBack),
    ]
}

/// There are three; the fourth is not used.
fn space(n: u8) -> String {
    format!("space{n}")
}

fn name(uid: u8) -> String {
    format!("uid{uid:02}")
}

proptest! {
    #[test]
    fn behaves_as_the_model(ops in prop::collection::vec(op(), 1..200)) {
        let mut queue = FairQueue::new();
        let mut model = Model::default();
        let mut taken: Vec<Waiting> = Vec::new();
        for (second, op) in ops.into_iter().enumerate() {
            let now = s(second as u64);
            match op {
                Op::Enqueue { uid, expires, created } => {
                    let queue_entry = QueueEntry {
                        expires_at: expires.map(at),
                        created_at: at(created),
                        cust_space_id: space(uid / 5 % 3),
                        ..queue_entry(&format!("ns{}", uid % 5), &name(uid))
                    };
                    queue.enqueue(queue_entry.clone(), now);
                    model.enqueue(queue_entry, now);
                }
                Op::Leave(uid) => {
                    prop_assert_eq!(queue.leave(&name(uid)), model.remove(&name(uid)).is_some());
                }
                Op::Pop => {
                    let next = queue.pop();
                    prop_assert_eq!(&next, &model.pop(&HashSet::new(), 3));
                    taken.extend(next);
                }
                Op::PopWhere(uids, unwanted) => {
                    let avoided = uids.into_iter().map(name).collect();
                    let wanted = |pair: &Pair| pair.cust_space_id != space(unwanted);
                    let next = queue.pop_where(wanted, &avoided);
                    prop_assert_eq!(&next, &model.pop(&avoided, unwanted));
                    taken.extend(next);
                }
                Op::PopUid(uid) => {
                    let others = (0u8..24).filter(|other| *other != uid).map(name).collect();
                    let next = queue.pop_uid(&name(uid));
                    prop_assert_eq!(&next, &model.pop(&others, 3));
                    taken.extend(next);
                }
                Op::PutBack => {
                    if let Some(waiting) = taken.pop() {
                        model.remove(&waiting.queue_entry.uid);
                        model.add(waiting.clone(), true);
                        queue.put_back(waiting);
                    }
                }
            }
            prop_assert_eq!(queue.count(), model.round.iter().map(|(_, t)| t.len()).sum::<usize>());
        }
        // `position` predicts the real order, and no entry is lost.
        let waiting: Vec<String> = model
            .round
            .iter()
            .flat_map(|(_, queue_entries)| queue_entries.iter().map(|w| w.queue_entry.uid.clone()))
            .collect();
        let positions: Vec<(String, usize)> = waiting
            .into_iter()
            .map(|uid| { let p = queue.position(&uid).unwrap(); (uid, p) })
            .collect();
        let order = uids(&mut queue);
        for (uid, position) in positions {
            prop_assert_eq!(&order[position], &uid);
        }
    }

    /// With k namespaces waiting, the best entry of each gets its turn within k turns.
    #[test]
    fn every_namespace_is_served_in_each_round(
        uids in prop::collection::vec((0u8..7, 0u16..500), 1..300),
        before in 0usize..50,
    ) {
        let mut queue = FairQueue::new();
        for (namespace, uid) in uids {
            queue.enqueue(queue_entry(&format!("ns{namespace}"), &format!("{namespace}/{uid}")), s(0));
        }
        for _ in 0..before.min(queue.count() - 1) {
            queue.pop();
        }
        let rest: Vec<String> =
            std::iter::from_fn(|| queue.pop()).map(|w| w.queue_entry.namespace).collect();
        let waiting: HashSet<&String> = rest.iter().collect();
        let first_round: HashSet<&String> = rest.iter().take(waiting.len()).collect();
        prop_assert_eq!(first_round, waiting);
    }
}
