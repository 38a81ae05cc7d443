//! The newest revision of PhoneMigrations that this process has seen, and whether the API server
//! fell behind it. If so, etcd was restored from a snapshot, and a watch waits for versions that do
//! not come.
//!
//! Limit: only revisions of one resource type are compared, since each type may have its own etcd.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// The newest revision, and the number of restores.
pub struct Revisions {
    newest: Mutex<u64>,
    restores: watch::Sender<u64>,
}

/// What this process knew when a request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    newest: u64,
    restores: u64,
}

impl Default for Revisions {
    fn default() -> Self {
        Self {
            newest: Mutex::default(),
            restores: watch::Sender::new(0),
        }
    }
}

impl Revisions {
    fn with<T>(&self, f: impl FnOnce(&mut u64) -> T) -> T {
        f(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers the version of an object; `None` (not a number) changes nothing.
    pub fn seen(&self, version: Option<u64>) {
        if let Some(version) = version {
            self.with(|newest| *newest = version.max(*newest));
        }
    }

    /// Take the mark before a request for [`Revisions::went_back`].
    pub fn mark(&self) -> Mark {
        self.with(|newest| Mark {
            newest: *newest,
            restores: self.restores(),
        })
    }

    /// Evaluates the revision of a consistent read that began at `mark`. True, once for each
    /// restore, if this process had seen a newer revision before the read.
    pub fn went_back(&self, mark: Mark, revision: u64) -> bool {
        self.with(|newest| {
            if revision >= mark.newest || self.restores() != mark.restores {
                *newest = revision.max(*newest);
                return false;
            }
            *newest = revision;
            self.restores.send_modify(|restores| *restores += 1);
            true
        })
    }

    /// How often etcd was restored.
    pub fn restores(&self) -> u64 {
        *self.restores.borrow()
    }

    /// A receiver that changes with each restore.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.restores.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_shows_less_than_was_seen_before_it_is_a_restore() {
        let revisions = Revisions::default();
        assert!(!revisions.went_back(revisions.mark(), 5));
        revisions.seen(Some(9));
        revisions.seen(Some(7));
        revisions.seen(None);
        assert!(!revisions.went_back(revisions.mark(), 9));
        let mark = revisions.mark();
        assert!(revisions.went_back(mark, 8));
        // Another request that began before reports the same restore.
        assert!(!revisions.went_back(mark, 8));
        assert!(!revisions.went_back(revisions.mark(), 8));
        assert_eq!(revisions.restores(), 1);
    }

    /// A write of this process may overtake a slow list.
    #[test]
    fn what_was_seen_while_the_read_was_under_way_proves_nothing() {
        let revisions = Revisions::default();
        revisions.seen(Some(5));
        let mark = revisions.mark();
        revisions.seen(Some(9));
        assert!(!revisions.went_back(mark, 6));
        assert!(revisions.went_back(revisions.mark(), 6));
    }
}
