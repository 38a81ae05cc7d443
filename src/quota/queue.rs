//! The fair queue of one account: round robin over namespaces, inside a namespace the earliest
//! expiry first, then the oldest. PURE.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;

/// A resource that asks for a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// metadata.uid: one ticket per resource.
    pub uid: String,
    /// metadata.namespace: the unit of fairness.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
    /// When the code expires.
    pub expires_at: Option<Timestamp>,
    /// metadata.creationTimestamp.
    pub created_at: Timestamp,
}

/// Order inside a namespace.
type Place = (Timestamp, Timestamp, String);

fn place(ticket: &Ticket) -> Place {
    let expires = ticket.expires_at.unwrap_or(Timestamp::MAX);
    (expires, ticket.created_at, ticket.uid.clone())
}

/// Tickets in the order in which they get their turn.
#[derive(Default)]
pub struct Queue {
    by_namespace: HashMap<String, BTreeMap<Place, Ticket>>,
    /// Namespaces that wait, the next one in front.
    rota: VecDeque<String>,
    places: HashMap<String, (String, Place)>,
}

impl Queue {
    /// Takes a ticket in, or updates its expiry; the namespace keeps its place in the rota.
    pub fn enqueue(&mut self, ticket: Ticket) {
        self.take_out(&ticket.uid);
        let place = place(&ticket);
        self.places.insert(
            ticket.uid.clone(),
            (ticket.namespace.clone(), place.clone()),
        );
        if !self.by_namespace.contains_key(&ticket.namespace) {
            self.rota.push_back(ticket.namespace.clone());
        }
        self.by_namespace
            .entry(ticket.namespace.clone())
            .or_default()
            .insert(place, ticket);
    }

    /// Removes a ticket. The empty namespace stays in the rota until its turn, so that a ticket
    /// that is updated does not lose its namespace's place.
    fn take_out(&mut self, uid: &str) -> bool {
        let Some((namespace, place)) = self.places.remove(uid) else {
            return false;
        };
        if let Some(tickets) = self.by_namespace.get_mut(&namespace) {
            tickets.remove(&place);
        }
        true
    }

    /// The resource no longer wants a turn.
    pub fn leave(&mut self, uid: &str) {
        if self.take_out(uid) && self.places.is_empty() {
            self.by_namespace.clear();
            self.rota.clear();
        }
    }

    /// True while the resource waits.
    pub fn contains(&self, uid: &str) -> bool {
        self.places.contains_key(uid)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The next ticket; its namespace goes to the end of the rota.
    pub fn next(&mut self) -> Option<Ticket> {
        while let Some(namespace) = self.rota.pop_front() {
            let Some(tickets) = self.by_namespace.get_mut(&namespace) else {
                continue;
            };
            match tickets.pop_first() {
                Some((_, ticket)) => {
                    self.places.remove(&ticket.uid);
                    if tickets.is_empty() {
                        self.by_namespace.remove(&namespace);
                    } else {
                        self.rota.push_back(namespace);
                    }
                    return Some(ticket);
                }
                None => {
                    self.by_namespace.remove(&namespace);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ticket(namespace: &str, uid: &str, created: i64, expires: Option<i64>) -> Ticket {
        Ticket {
            uid: uid.into(),
            namespace: namespace.into(),
            name: uid.into(),
            expires_at: expires.map(|s| Timestamp::from_second(s).unwrap()),
            created_at: Timestamp::from_second(created).unwrap(),
        }
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.next()).map(|t| t.uid).collect()
    }

    #[test]
    fn a_namespace_with_thousands_delays_another_by_one_turn_only() {
        let mut queue = Queue::default();
        for n in 0..2000 {
            queue.enqueue(ticket("a", &format!("a{n:04}"), n, None));
        }
        queue.enqueue(ticket("b", "b", 9999, None));
        let first: Vec<_> = (0..2).map(|_| queue.next().unwrap().uid).collect();
        assert_eq!(first, ["a0000", "b"]);
        assert_eq!(queue.len(), 1999);
    }

    #[test]
    fn inside_a_namespace_expiry_then_age_then_uid() {
        let mut queue = Queue::default();
        for t in [
            ticket("a", "late", 1, Some(500)),
            ticket("a", "never-b", 2, None),
            ticket("a", "never-a", 2, None),
            ticket("a", "old", 1, None),
            ticket("a", "soon", 9, Some(100)),
        ] {
            queue.enqueue(t);
        }
        assert_eq!(
            drain(&mut queue),
            ["soon", "late", "old", "never-a", "never-b"]
        );
    }

    #[test]
    fn enqueueing_again_updates_the_expiry_and_keeps_the_rota() {
        let mut queue = Queue::default();
        for t in [
            ticket("a", "a", 1, None),
            ticket("b", "b", 1, None),
            ticket("a", "a", 1, Some(5)),
        ] {
            queue.enqueue(t);
        }
        assert_eq!(
            (queue.len(), drain(&mut queue)),
            (2, vec!["a".into(), "b".into()])
        );
    }

    #[test]
    fn who_left_gets_no_turn() {
        let mut queue = Queue::default();
        queue.enqueue(ticket("a", "a", 1, None));
        queue.enqueue(ticket("b", "b", 1, None));
        queue.leave("a");
        assert!(!queue.contains("a"));
        assert_eq!(drain(&mut queue), ["b"]);
        assert!(queue.is_empty());
    }
}
