//! Whose turn it is to probe a hold. PURE.

use std::collections::HashSet;

use super::super::queue::{FairQueue, Waiting};

/// Goes through all who wait before it comes back to one, so that a resource whose own
/// fault looks like the account's cannot keep the account held.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    probed: HashSet<String>,
    last: HashSet<String>,
}

impl Rotation {
    /// The next ticket that has not probed this hold. When all have, a new round
    /// begins, and the last to probe is not the first again unless it is alone.
    pub(super) fn next(&mut self, queue: &mut FairQueue) -> Option<Waiting> {
        let next = queue.pop_avoiding(&self.probed).or_else(|| {
            self.probed.clear();
            queue.pop_avoiding(&self.last).or_else(|| queue.pop())
        })?;
        let uid = &next.ticket.uid;
        self.probed.insert(uid.clone());
        self.last = HashSet::from([uid.clone()]);
        Some(next)
    }

    /// The hold is over.
    pub(super) fn clear(&mut self) {
        self.probed.clear();
        self.last.clear();
    }
}
