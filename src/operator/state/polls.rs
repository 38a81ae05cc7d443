//! Decides when each Secret is read again. PURE.
//!
//! All polls share one turn each 50 ms. Each turn goes to the namespace that is owed one first. A
//! namespace is owed a turn one interval after its last turn, however many of its resources wait.
//! So a resource alone in its namespace is polled within its interval, as long as the waiting
//! namespaces need no more than the 20 turns a second: 200 of them every 10 s, or 1,200 every 60 s.
//! Many resources in one namespace stretch its own intervals only. If no namespace is owed a turn
//! yet, the turn is not lost: any resource that may be polled gets it.
//!
//! A resource has one poll at most. Nothing is reserved ahead of time, so a poll that is no longer
//! needed costs no turn.
//!
//! Every operation is O(log polls), except [`PollSchedule::take`]: also O(namespaces), 20 times a
//! second.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::api::object_key::ObjectKey;
use crate::api::poll_interval::Interval;
use crate::clock::BootTime;

/// Between two turns.
pub const BETWEEN_TURNS: Duration = Duration::from_millis(50);
/// How long a namespace without polls keeps its place: longer than any interval.
const KEPT: Duration = Duration::from_secs(600);

/// The purpose of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPurpose {
    /// Read the Secret.
    Read,
    /// Show the known state in status.
    Show,
}

/// A granted turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollTurn {
    /// The resource that has the turn.
    pub key: ObjectKey,
    /// The purpose of the turn.
    pub purpose: TurnPurpose,
}

#[derive(Clone, Debug)]
struct Poll {
    /// Something requested this poll, because the resource should learn of a change soon.
    asked: bool,
    earliest: BootTime,
    within: Duration,
    latest: BootTime,
    purpose: TurnPurpose,
}

/// Order inside a namespace: the greatest goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Urgency {
    asked: bool,
    latest: Reverse<BootTime>,
    name: Reverse<String>,
    within: Duration,
}

impl Urgency {
    fn of(name: &str, poll: &Poll) -> Self {
        Self {
            asked: poll.asked,
            latest: Reverse(poll.latest),
            name: Reverse(name.to_owned()),
            within: poll.within,
        }
    }
}

#[derive(Debug)]
struct Namespace {
    /// When it last had a turn, or joined.
    served: BootTime,
    /// Its polls, due or not.
    polls: usize,
    due: BTreeSet<Urgency>,
}

/// The polls of all resources.
#[derive(Debug, Default)]
pub struct PollSchedule {
    polls: HashMap<ObjectKey, Poll>,
    /// Polls that may not be made yet, by their earliest time.
    later: BTreeSet<(BootTime, ObjectKey)>,
    namespaces: HashMap<String, Namespace>,
    next_turn: BootTime,
    tidied: BootTime,
}

impl PollSchedule {
    /// Plans the next read of the Secret this interval after `read`, unless one is already
    /// requested.
    pub fn plan(&mut self, key: &ObjectKey, interval: Interval, read: BootTime, now: BootTime) {
        let poll = Poll {
            asked: false,
            earliest: read + interval.after,
            within: interval.within,
            latest: read + interval.within,
            purpose: TurnPurpose::Read,
        };
        self.put(key, poll, now);
    }

    /// Plans to show the known state at that time, unless a read is already requested.
    pub fn show(&mut self, key: &ObjectKey, at: BootTime, now: BootTime) {
        let within = Interval::FRESH.within;
        let poll = Poll {
            asked: false,
            earliest: at,
            within,
            latest: at + within,
            purpose: TurnPurpose::Show,
        };
        self.put(key, poll, now);
    }

    /// Requests a read of the Secret in the next possible turn, before the namespace's other polls.
    pub fn ask(&mut self, key: &ObjectKey, now: BootTime) {
        let poll = Poll {
            asked: true,
            earliest: now,
            // As the most frequent polls: a resource that asks all the time takes no turn that
            // others are owed.
            within: Interval::FRESH.within,
            latest: now,
            purpose: TurnPurpose::Read,
        };
        self.put(key, poll, now);
    }

    /// Cancels the planned poll of the resource. A requested poll stays.
    pub fn cancel(&mut self, key: &ObjectKey) {
        if self.polls.get(key).is_some_and(|poll| !poll.asked) {
            self.forget(key);
        }
    }

    /// Forgets the poll of a resource that is gone or was read just now.
    pub fn forget(&mut self, key: &ObjectKey) {
        let Some(poll) = self.polls.remove(key) else {
            return;
        };
        self.later.remove(&(poll.earliest, key.clone()));
        if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
            namespace.due.remove(&Urgency::of(&key.name, &poll));
            namespace.polls -= 1;
        }
    }

    /// Takes the turn of `now`, if there is one and a resource may have it.
    pub fn take(&mut self, now: BootTime) -> Option<PollTurn> {
        if now < self.next_turn {
            return None;
        }
        self.release(now);
        self.tidy(now);
        let first = self.namespaces.iter().filter_map(|(name, namespace)| {
            let first = namespace.due.last()?;
            let owed = namespace.served + first.within;
            Some((owed, namespace.served, name, &first.name.0))
        });
        let (_, _, namespace, name) = first.min()?;
        let key = ObjectKey {
            namespace: namespace.clone(),
            name: name.clone(),
        };
        let purpose = self.polls.get(&key)?.purpose;
        self.forget(&key);
        if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
            namespace.served = now;
        }
        self.next_turn = now + BETWEEN_TURNS;
        Some(PollTurn { key, purpose })
    }

    /// When the next turn comes that a resource may have, if nothing changes.
    pub fn next(&self) -> Option<BootTime> {
        let some_are_due = self.polls.len() > self.later.len();
        let due = some_are_due.then_some(self.next_turn);
        let later = self.later.first().map(|(at, _)| (*at).max(self.next_turn));
        due.or(later)
    }

    /// How many resources have a poll.
    pub fn len(&self) -> usize {
        self.polls.len()
    }

    /// True if no resource has a poll.
    pub fn is_empty(&self) -> bool {
        self.polls.is_empty()
    }

    /// A requested poll stays: a caller that plans another one has not read the Secret since.
    fn put(&mut self, key: &ObjectKey, poll: Poll, now: BootTime) {
        if self.polls.get(key).is_some_and(|known| known.asked) {
            return;
        }
        self.forget(key);
        let new = || Namespace {
            served: now,
            polls: 0,
            due: BTreeSet::new(),
        };
        let name = key.namespace.clone();
        self.namespaces.entry(name).or_insert_with(new).polls += 1;
        self.later.insert((poll.earliest, key.clone()));
        self.polls.insert(key.clone(), poll);
    }

    /// Moves polls whose earliest time has come to the polls that are due.
    fn release(&mut self, now: BootTime) {
        while let Some((at, key)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, key));
                return;
            }
            let namespace = self.namespaces.get_mut(&key.namespace);
            if let (Some(namespace), Some(poll)) = (namespace, self.polls.get(&key)) {
                namespace.due.insert(Urgency::of(&key.name, poll));
            }
        }
    }

    /// Forgets, once in a while, namespaces that have had no poll for a long time.
    fn tidy(&mut self, now: BootTime) {
        if now < self.tidied + KEPT {
            return;
        }
        self.tidied = now;
        self.namespaces
            .retain(|_, namespace| namespace.polls > 0 || namespace.served + KEPT > now);
    }
}
