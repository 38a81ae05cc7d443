//! Chooses the resource that probes a hold. PURE.

use std::collections::HashSet;

use super::super::Pair;
use super::super::queue::{FairQueue, Waiting};

/// Every waiting resource probes once before any probes again. So a resource whose own fault looks
/// like a fault of the account cannot keep the account held.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    probed: HashSet<String>,
    last: HashSet<String>,
    /// A user requested a probe on this resource.
    preferred: Option<String>,
}

impl Rotation {
    /// Lets this resource make the next probe, if it waits then.
    pub(super) fn prefer(&mut self, uid: &str) {
        self.preferred = Some(uid.to_owned());
    }

    /// The next queue entry of a wanted pair that has not probed this hold. When every entry has
    /// probed, a new round begins; the last resource to probe is not first in it unless it is
    /// alone.
    pub(super) fn next(
        &mut self,
        queue: &mut FairQueue,
        wanted: impl Fn(&Pair) -> bool,
    ) -> Option<Waiting> {
        let is_wanted = |uid: &String| queue.queue_entry(uid).is_some_and(|t| wanted(&t.pair()));
        let preferred = self.preferred.take_if(|uid| is_wanted(uid));
        let preferred = preferred.and_then(|uid| queue.pop_uid(&uid));
        let next = preferred.or_else(|| queue.pop_where(&wanted, &self.probed));
        let next = next.or_else(|| {
            self.probed.clear();
            let other = queue.pop_where(&wanted, &self.last);
            other.or_else(|| queue.pop_where(&wanted, &HashSet::new()))
        })?;
        let uid = &next.queue_entry.uid;
        self.probed.insert(uid.clone());
        self.last = HashSet::from([uid.clone()]);
        Some(next)
    }

    /// The hold is over.
    pub(super) fn clear(&mut self) {
        self.probed.clear();
        self.last.clear();
        self.preferred = None;
    }
}
