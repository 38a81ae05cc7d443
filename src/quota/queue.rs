//! Fair order of the resources that wait for a turn. PURE.
//!
//! Round robin over namespaces; inside a namespace the earliest expiry first (none
//! comes last), then the oldest, then the smallest uid.
//!
//! Fairness: a namespace that joins goes behind those that wait already and is served
//! once before any of them is served twice. So with `k` namespaces waiting, the best
//! ticket of each is out within the next `k` turns, however many tickets the others
//! have; and inside a namespace only tickets that are more urgent go first.
//!
//! Every operation is O(log n) except [`FairQueue::position`] (for people and tests)
//! and [`FairQueue::pop_avoiding`], which also steps over the avoided tickets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::Ticket;
use crate::clock::BootTime;

/// A ticket and since when it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who waits.
    pub ticket: Ticket,
    /// When it was first enqueued.
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
    fn of(ticket: &Ticket) -> Self {
        Self {
            never_expires: ticket.expires_at.is_none(),
            expires_at: ticket.expires_at,
            created_at: ticket.created_at,
            uid: ticket.uid.clone(),
        }
    }
}

#[derive(Debug)]
struct Namespace {
    /// Its place in `FairQueue::round`.
    place: i64,
    tickets: BTreeSet<Urgency>,
}

/// The queue of one account.
#[derive(Debug, Default)]
pub struct FairQueue {
    waiting: HashMap<String, Waiting>,
    /// Namespaces with at least one ticket; an empty one leaves.
    namespaces: HashMap<String, Namespace>,
    /// The order of service. Places only ever grow at the back and shrink at the front.
    round: BTreeMap<i64, String>,
}

impl FairQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a ticket, or takes over its new expiry. Asking again neither gains nor
    /// loses: the namespace keeps its place and `since` stays.
    pub fn enqueue(&mut self, ticket: Ticket, now: BootTime) {
        let since = match self.waiting.get(&ticket.uid) {
            Some(known) if known.ticket == ticket => return,
            Some(known) => known.since,
            None => now,
        };
        if let Some(known) = self.waiting.get(&ticket.uid)
            && known.ticket.namespace == ticket.namespace
        {
            self.reorder(ticket);
            return;
        }
        self.leave(&ticket.uid);
        let back = self
            .round
            .last_key_value()
            .map_or(0, |(place, _)| place + 1);
        self.insert(Waiting { ticket, since }, back);
    }

    /// Puts back a ticket whose turn was withdrawn: its namespace is served next.
    pub fn put_back(&mut self, waiting: Waiting) {
        self.leave(&waiting.ticket.uid);
        let front = self
            .round
            .first_key_value()
            .map_or(0, |(place, _)| place - 1);
        if let Some(namespace) = self.namespaces.get_mut(&waiting.ticket.namespace) {
            self.round.remove(&namespace.place);
            namespace.place = front;
            self.round.insert(front, waiting.ticket.namespace.clone());
        }
        self.insert(waiting, front);
    }

    /// Removes a ticket. True if it was there.
    pub fn leave(&mut self, uid: &str) -> bool {
        self.take(uid).is_some()
    }

    /// Takes the next ticket.
    pub fn pop(&mut self) -> Option<Waiting> {
        let name = self.round.first_key_value()?.1;
        let uid = self.namespaces.get(name)?.tickets.first()?.uid.clone();
        self.serve(&uid)
    }

    /// Takes the next ticket whose uid is not in `avoided`. `None` if there is none,
    /// although others may wait.
    pub fn pop_avoiding(&mut self, avoided: &HashSet<String>) -> Option<Waiting> {
        let uid = self.round.values().find_map(|name| {
            let tickets = &self.namespaces.get(name)?.tickets;
            let free = tickets.iter().find(|t| !avoided.contains(&t.uid))?;
            Some(free.uid.clone())
        })?;
        self.serve(&uid)
    }

    /// True while the uid waits here.
    pub fn contains(&self, uid: &str) -> bool {
        self.waiting.contains_key(uid)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first code in the queue expires. O(namespaces).
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let most_urgent = self.namespaces.values().filter_map(|n| n.tickets.first());
        most_urgent.filter_map(|ticket| ticket.expires_at).min()
    }

    /// How many turns come before this one if nobody joins or leaves: 0 is next.
    /// O(namespaces + rank).
    pub fn position(&self, uid: &str) -> Option<usize> {
        let ticket = &self.waiting.get(uid)?.ticket;
        let own = self.namespaces.get(&ticket.namespace)?;
        let urgency = Urgency::of(ticket);
        let rank = own.tickets.range(..&urgency).count();
        let others: usize = self
            .namespaces
            .values()
            .filter(|other| other.place != own.place)
            .map(|other| {
                let turns = rank + usize::from(other.place < own.place);
                other.tickets.len().min(turns)
            })
            .sum();
        Some(rank + others)
    }

    /// Takes `uid` and sends its namespace to the end of the round.
    fn serve(&mut self, uid: &str) -> Option<Waiting> {
        let taken = self.take(uid)?;
        let name = &taken.ticket.namespace;
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
        let name = &taken.ticket.namespace;
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.tickets.remove(&Urgency::of(&taken.ticket));
            if namespace.tickets.is_empty() {
                self.round.remove(&namespace.place);
                self.namespaces.remove(name);
            }
        }
        Some(taken)
    }

    /// Adds a ticket; `place` counts only if its namespace is not in the round yet.
    fn insert(&mut self, waiting: Waiting, place: i64) {
        let name = &waiting.ticket.namespace;
        if !self.namespaces.contains_key(name) {
            self.round.insert(place, name.clone());
        }
        let namespace = self.namespaces.entry(name.clone()).or_insert(Namespace {
            place,
            tickets: BTreeSet::new(),
        });
        namespace.tickets.insert(Urgency::of(&waiting.ticket));
        self.waiting.insert(waiting.ticket.uid.clone(), waiting);
    }

    /// Takes over the new order of a known ticket inside its namespace.
    fn reorder(&mut self, ticket: Ticket) {
        let Some(known) = self.waiting.get_mut(&ticket.uid) else {
            return;
        };
        if let Some(namespace) = self.namespaces.get_mut(&ticket.namespace) {
            namespace.tickets.remove(&Urgency::of(&known.ticket));
            namespace.tickets.insert(Urgency::of(&ticket));
        }
        known.ticket = ticket;
    }
}
