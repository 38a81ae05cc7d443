//! Fair order of the resources that wait for a turn. PURE.
//!
//! Round robin over namespaces; inside a namespace the earliest expiry first (no expiry comes
//! last), then the oldest, then the smallest uid.
//!
//! Fairness: a namespace that joins goes behind the waiting namespaces and is served once before
//! any of them is served twice. So with `k` namespaces waiting, the first entry of each gets one of
//! the next `k` turns, however many entries the others have. Inside a namespace only more urgent
//! entries go first.
//!
//! A step over one namespace costs its pairs (namespace, custSpaceId), which are few. Apart from
//! that every operation is O(log n), except [`FairQueue::position`] (for users and tests),
//! [`FairQueue::pairs`], and [`FairQueue::pop_where`], which also steps over the entries and pairs
//! that are not wanted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::{Pair, QueueEntry};
use crate::clock::BootTime;

/// A queue entry and the time since when it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The waiting resource.
    pub queue_entry: QueueEntry,
    /// When the resource was first enqueued.
    pub since: BootTime,
}

/// Urgency inside a namespace: the smallest goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Urgency {
    never_expires: bool,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    uid: String,
}

impl Urgency {
    fn of(queue_entry: &QueueEntry) -> Self {
        Self {
            never_expires: queue_entry.expires_at.is_none(),
            expires_at: queue_entry.expires_at,
            created_at: queue_entry.created_at,
            uid: queue_entry.uid.clone(),
        }
    }
}

#[derive(Debug)]
struct Namespace {
    /// Its place in `FairQueue::round`.
    place: i64,
    /// Without empty pairs.
    queue_entries: BTreeMap<Pair, BTreeSet<Urgency>>,
}

impl Namespace {
    fn len(&self) -> usize {
        self.queue_entries.values().map(BTreeSet::len).sum()
    }

    fn most_urgent(&self) -> Option<&Urgency> {
        let first = self.queue_entries.values().filter_map(BTreeSet::first);
        first.min()
    }

    fn add(&mut self, queue_entry: &QueueEntry) {
        let queue_entries = self.queue_entries.entry(queue_entry.pair()).or_default();
        queue_entries.insert(Urgency::of(queue_entry));
    }

    fn remove(&mut self, queue_entry: &QueueEntry) {
        let pair = queue_entry.pair();
        if let Some(queue_entries) = self.queue_entries.get_mut(&pair) {
            queue_entries.remove(&Urgency::of(queue_entry));
            if queue_entries.is_empty() {
                self.queue_entries.remove(&pair);
            }
        }
    }
}

/// The queue of one account.
#[derive(Debug, Default)]
pub struct FairQueue {
    waiting: HashMap<String, Waiting>,
    /// Namespaces with at least one entry; an empty one is removed.
    namespaces: HashMap<String, Namespace>,
    /// The order of service. Places only grow at the back and shrink at the front.
    round: BTreeMap<i64, String>,
}

impl FairQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, or updates it. Asking again neither gains nor loses: the namespace keeps its
    /// place and `since` stays.
    pub fn enqueue(&mut self, queue_entry: QueueEntry, now: BootTime) {
        let since = match self.waiting.get(&queue_entry.uid) {
            Some(known) if known.queue_entry == queue_entry => return,
            Some(known) => known.since,
            None => now,
        };
        if let Some(known) = self.waiting.get(&queue_entry.uid)
            && known.queue_entry.namespace == queue_entry.namespace
        {
            self.reorder(queue_entry);
            return;
        }
        self.leave(&queue_entry.uid);
        let back = self
            .round
            .last_key_value()
            .map_or(0, |(place, _)| place + 1);
        self.insert(Waiting { queue_entry, since }, back);
    }

    /// Puts back an entry whose turn was withdrawn: its namespace is served next.
    pub fn put_back(&mut self, waiting: Waiting) {
        self.leave(&waiting.queue_entry.uid);
        let front = self
            .round
            .first_key_value()
            .map_or(0, |(place, _)| place - 1);
        if let Some(namespace) = self.namespaces.get_mut(&waiting.queue_entry.namespace) {
            self.round.remove(&namespace.place);
            namespace.place = front;
            self.round
                .insert(front, waiting.queue_entry.namespace.clone());
        }
        self.insert(waiting, front);
    }

    /// Removes an entry. True if it was there.
    pub fn leave(&mut self, uid: &str) -> bool {
        self.take(uid).is_some()
    }

    /// Takes the next entry.
    pub fn pop(&mut self) -> Option<Waiting> {
        let name = self.round.first_key_value()?.1;
        let uid = self.namespaces.get(name)?.most_urgent()?.uid.clone();
        self.serve(&uid)
    }

    /// Takes the next entry of a wanted pair whose uid is not in `avoided`. `None` if no entry
    /// matches.
    pub fn pop_where(
        &mut self,
        wanted: impl Fn(&Pair) -> bool,
        avoided: &HashSet<String>,
    ) -> Option<Waiting> {
        let uid = self.round.values().find_map(|name| {
            let pairs = self.namespaces.get(name)?.queue_entries.iter();
            let wanted = pairs.filter(|(pair, _)| wanted(pair));
            let free = wanted.filter_map(|(_, queue_entries)| {
                let mut queue_entries = queue_entries.iter();
                queue_entries.find(|queue_entry| !avoided.contains(&queue_entry.uid))
            });
            free.min().map(|urgency| urgency.uid.clone())
        })?;
        self.serve(&uid)
    }

    /// Takes this entry, whatever its place.
    pub fn pop_uid(&mut self, uid: &str) -> Option<Waiting> {
        self.serve(uid)
    }

    /// The pairs that wait, in the order of their namespaces' turns.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        let namespaces = self.round.values();
        let waiting = namespaces.filter_map(|name| self.namespaces.get(name));
        waiting.flat_map(|namespace| namespace.queue_entries.keys())
    }

    /// A waiting entry.
    pub fn queue_entry(&self, uid: &str) -> Option<&QueueEntry> {
        self.waiting.get(uid).map(|waiting| &waiting.queue_entry)
    }

    /// True while the uid waits here.
    pub fn contains(&self, uid: &str) -> bool {
        self.waiting.contains_key(uid)
    }

    /// Number of waiting entries.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// When the first code in the queue expires. O(namespaces).
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let most_urgent = self.namespaces.values().filter_map(Namespace::most_urgent);
        most_urgent
            .filter_map(|queue_entry| queue_entry.expires_at)
            .min()
    }

    /// Number of turns before this one if no entry joins or leaves: 0 is next. O(namespaces +
    /// rank).
    pub fn position(&self, uid: &str) -> Option<usize> {
        let queue_entry = &self.waiting.get(uid)?.queue_entry;
        let own = self.namespaces.get(&queue_entry.namespace)?;
        let urgency = Urgency::of(queue_entry);
        let before = |queue_entries: &BTreeSet<Urgency>| queue_entries.range(..&urgency).count();
        let rank: usize = own.queue_entries.values().map(before).sum();
        let others: usize = self
            .namespaces
            .values()
            .filter(|other| other.place != own.place)
            .map(|other| {
                let turns = rank + usize::from(other.place < own.place);
                other.len().min(turns)
            })
            .sum();
        Some(rank + others)
    }

    /// Takes `uid` and sends its namespace to the end of the round.
    fn serve(&mut self, uid: &str) -> Option<Waiting> {
        let taken = self.take(uid)?;
        let name = &taken.queue_entry.namespace;
        if let Some(namespace) = self.namespaces.get_mut(name) {
            self.round.remove(&namespace.place);
            let back = self
                .round
                .last_key_value()
                .map_or(0, |(place, _)| place + 1);
            namespace.place = back;
            self.round.insert(back, name.clone());
        }
        Some(taken)
    }

    fn take(&mut self, uid: &str) -> Option<Waiting> {
        let taken = self.waiting.remove(uid)?;
        let name = &taken.queue_entry.namespace;
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.remove(&taken.queue_entry);
            if namespace.queue_entries.is_empty() {
                self.round.remove(&namespace.place);
                self.namespaces.remove(name);
            }
        }
        Some(taken)
    }

    /// Adds an entry; `place` counts only if its namespace is not in the round yet.
    fn insert(&mut self, waiting: Waiting, place: i64) {
        let name = &waiting.queue_entry.namespace;
        if !self.namespaces.contains_key(name) {
            self.round.insert(place, name.clone());
        }
        let namespace = self.namespaces.entry(name.clone()).or_insert(Namespace {
            place,
            queue_entries: BTreeMap::new(),
        });
        namespace.add(&waiting.queue_entry);
        self.waiting
            .insert(waiting.queue_entry.uid.clone(), waiting);
    }

    /// Updates the order of a known entry inside its namespace.
    fn reorder(&mut self, queue_entry: QueueEntry) {
        let Some(known) = self.waiting.get_mut(&queue_entry.uid) else {
            return;
        };
        if let Some(namespace) = self.namespaces.get_mut(&queue_entry.namespace) {
            namespace.remove(&known.queue_entry);
            namespace.add(&queue_entry);
        }
        known.queue_entry = queue_entry;
    }
}
