//! "From every reachable state a settled one can be reached" (AG EF), which the checker itself
//! cannot check on a graph with cycles: this module records the edges it walks, then follows them
//! backwards.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::properties::is_settled;
use crate::protocol::Protocol;
use crate::state::State;

/// States by fingerprint, with their predecessors.
#[derive(Default)]
pub struct Graph {
    numbers: HashMap<u64, u32>,
    settled: Vec<u32>,
    edges: Vec<(u32, u32)>,
}

impl Graph {
    fn number(&mut self, (model, state): (&Protocol, &State)) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap();
        let number = *self.numbers.entry(fingerprint(state)).or_insert(next);
        if number == next && is_settled(model, state) {
            self.settled.push(number);
        }
        number
    }

    /// Records that one state leads to another.
    pub fn note(&mut self, from: (&Protocol, &State), to: (&Protocol, &State)) {
        let edge = (self.number(from), self.number(to));
        self.edges.push(edge);
    }

    /// Fingerprints of the states from which no settled one can be reached.
    pub fn stuck(&self) -> Vec<u64> {
        let mut leads_to: Vec<Vec<u32>> = vec![Vec::new(); self.numbers.len()];
        for (from, to) in &self.edges {
            leads_to[*to as usize].push(*from);
        }
        let mut reaches = vec![false; self.numbers.len()];
        let mut open = self.settled.clone();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut reaches[number as usize], true) {
                open.extend(&leads_to[number as usize]);
            }
        }
        let stuck = self.numbers.iter().filter(|(_, n)| !reaches[**n as usize]);
        stuck.map(|(fingerprint, _)| *fingerprint).collect()
    }
}

pub fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
