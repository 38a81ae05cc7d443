//! What this process remembers of its visits to each resource: what it has handled, when it is
//! due again, and the reads it made. Nothing here is needed to be safe; it saves requests.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{BootTime, Now};
use crate::cluster::Key;
use crate::crd::{PhoneMigration, PhoneMigrationStatus, SecretVersion};
use crate::reads::Reads;

mod delays;
mod read_log;

pub use delays::{LookPacer, back_off, conflict_back_off, poll_delay};
pub use read_log::ReadLog;

/// When the newer object has not come by then, there is none: etcd was restored from a snapshot,
/// and its revisions went back.
const NEVER_CAME: Duration = Duration::from_secs(30);

/// Whether there is anything to do for a resource now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The object changed since the last visit.
    Changed,
    /// The time has come.
    Now,
    /// The time has come for a look that nothing waits for; it needs [`Visits::permit_look`].
    Look,
    /// Not before this time.
    At(BootTime),
    /// Not before the object changes.
    Never,
    /// What is seen is older than what this process wrote: the newer one is on its way.
    Stale,
}

#[derive(Clone)]
struct Visit {
    uid: String,
    handled: u64,
    due: Option<BootTime>,
    /// What is due is a look that nothing waits for.
    only_look: bool,
    /// Somebody woke it since its last look began: what that look finds may be old, so whatever
    /// it arranges, another one is due.
    woken: bool,
    stale_since: Option<BootTime>,
    changed_at: BootTime,
    secret: Option<SecretVersion>,
    queued_at: Option<BootTime>,
    look_at: Option<BootTime>,
    failures: u32,
    conflicts: u32,
    setbacks: u32,
    look_failed: bool,
    reads: ReadLog,
}

/// Visits by resource.
#[derive(Default)]
pub struct Visits {
    visits: Mutex<HashMap<Key, Visit>>,
    looks: Mutex<LookPacer>,
}

/// resourceVersions of one resource type are ordered (Kubernetes 1.35 says so; etcd revisions
/// always were). Anything unreadable counts as new.
pub fn version(object: &PhoneMigration) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|rv| rv.parse().ok())
        .unwrap_or(u64::MAX)
}

impl Visits {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Key, Visit>) -> T) -> T {
        f(&mut self.visits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `object`, as the cache shows it, is due.
    pub fn due(&self, key: &Key, object: &PhoneMigration, now: Now) -> Due {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let seen = version(object);
        self.with(|visits| {
            let known = visits.get_mut(key).filter(|visit| visit.uid == uid);
            let Some(visit) = known else {
                visits.insert(key.clone(), Visit::new(uid, seen, now));
                return Due::Changed;
            };
            if seen < visit.handled {
                let since = *visit.stale_since.get_or_insert(now.boot);
                if now.boot < since + NEVER_CAME {
                    return Due::Stale;
                }
                visit.handled = 0;
            }
            visit.stale_since = None;
            if seen > visit.handled {
                visit.handled = seen;
                visit.changed_at = now.boot;
                (visit.due, visit.only_look, visit.look_at) = (None, false, None);
                return Due::Changed;
            }
            match visit.due {
                None => Due::Never,
                Some(at) if at <= now.boot && visit.only_look => Due::Look,
                Some(at) if at <= now.boot => Due::Now,
                Some(at) => Due::At(at),
            }
        })
    }

    fn update(&self, key: &Key, f: impl FnOnce(&mut Visit)) {
        self.with(|visits| visits.get_mut(key).map(f));
    }

    /// This process wrote, or read live, this version: nothing older is news.
    pub fn handled(&self, key: &Key, object: &PhoneMigration) {
        let seen = version(object);
        self.update(key, |visit| visit.handled = visit.handled.max(seen));
    }

    /// When the resource is due again; `None`: when it changes.
    pub fn set_due(&self, key: &Key, at: Option<BootTime>) {
        self.update(key, |visit| visit.arrange(at, false));
    }

    /// When the resource is to be looked at again, although nothing waits for that look.
    pub fn set_look(&self, key: &Key, at: Option<BootTime>) {
        self.update(key, |visit| visit.arrange(at, true));
    }

    /// What the resource depends on changed: it is due now, whatever a look that runs arranges.
    pub fn wake(&self, key: &Key, now: BootTime) {
        self.update(key, |visit| {
            (visit.due, visit.only_look, visit.woken) = (Some(now), false, true);
        });
    }

    /// What was due is done now; if it fails, the next try is as urgent as this one.
    pub fn begin(&self, key: &Key) {
        self.update(key, |visit| (visit.due, visit.woken) = (None, false));
    }

    /// Due now, unless a time was set.
    pub fn due_now_unless_set(&self, key: &Key, now: BootTime) {
        self.update(key, |visit| {
            if visit.due.is_none() {
                (visit.due, visit.only_look) = (Some(now), false);
            }
        });
    }

    /// The poll is due after a delay that depends on how long nothing changed.
    pub fn set_poll(&self, key: &Key, now: BootTime, jitter: u8) {
        self.update(key, |visit| {
            let unchanged = now.saturating_sub(visit.changed_at);
            visit.arrange(Some(now + poll_delay(unchanged, jitter)), true);
        });
    }

    /// Whether a look that is due may be made now. If not, it is due at the moment that is kept for
    /// it: thousands may be due together, and none of them asks twice.
    pub fn permit_look(&self, key: &Key, now: BootTime) -> bool {
        self.with(|visits| {
            let Some(visit) = visits.get_mut(key) else {
                return true;
            };
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            let at = *visit.look_at.get_or_insert_with(|| looks.take(now));
            if at > now {
                visit.due = Some(at);
                return false;
            }
            visit.look_at = None;
            true
        })
    }

    /// The version of the Secret that was read; a new one makes the polls quick again.
    pub fn secret_seen(&self, key: &Key, secret: Option<SecretVersion>, now: BootTime) {
        self.update(key, |visit| {
            if visit.secret != secret {
                visit.secret = secret;
                visit.changed_at = now;
            }
        });
    }

    /// Since when the resource waits in the queue; `None` forgets it.
    pub fn queued(&self, key: &Key, at: Option<BootTime>) {
        self.update(key, |visit| {
            visit.queued_at = at.map(|at| visit.queued_at.unwrap_or(at));
        });
    }

    /// Since when the resource waits in the queue.
    pub fn queued_at(&self, key: &Key) -> Option<BootTime> {
        self.with(|visits| visits.get(key).and_then(|visit| visit.queued_at))
    }

    /// A visit failed; returns the back-off until the next: 5 s doubling to 5 min.
    pub fn failed(&self, key: &Key, now: BootTime) -> Duration {
        self.with(|visits| {
            let Some(visit) = visits.get_mut(key) else {
                return back_off(0);
            };
            let delay = back_off(visit.failures);
            visit.failures += 1;
            visit.due = Some(now + delay);
            delay
        })
    }

    /// A visit met another write; returns the back-off until the next.
    pub fn conflicted(&self, key: &Key, now: BootTime) -> Duration {
        self.with(|visits| {
            let Some(visit) = visits.get_mut(key) else {
                return conflict_back_off(0);
            };
            let delay = conflict_back_off(visit.conflicts);
            visit.conflicts += 1;
            visit.due = Some(now + delay);
            delay
        })
    }

    /// A visit went well.
    pub fn succeeded(&self, key: &Key) {
        self.update(key, |visit| (visit.failures, visit.conflicts) = (0, 0));
    }

    /// The account was refused through this resource once more; how long it backs off alone.
    pub fn set_back(&self, key: &Key) -> Duration {
        self.with(|visits| {
            let Some(visit) = visits.get_mut(key) else {
                return back_off(0);
            };
            visit.setbacks += 1;
            back_off(visit.setbacks - 1)
        })
    }

    /// True the first time only: the look before a first attempt could not be had.
    pub fn first_look_failure(&self, key: &Key) -> bool {
        self.with(|visits| {
            visits
                .get_mut(key)
                .is_none_or(|visit| !std::mem::replace(&mut visit.look_failed, true))
        })
    }

    /// The reads made about the state that `status` shows.
    pub fn reads(&self, key: &Key, status: Option<&PhoneMigrationStatus>, now: Timestamp) -> Reads {
        self.with(|visits| match visits.get_mut(key) {
            None => Reads::none(now),
            Some(visit) => visit.reads.about(status, now),
        })
    }

    /// One more read was made; whether it was answered.
    pub fn read_made(
        &self,
        key: &Key,
        status: Option<&PhoneMigrationStatus>,
        answered: bool,
        now: Timestamp,
    ) {
        self.update(key, |visit| visit.reads.made(status, answered, now));
    }

    /// The read before a refusal was recorded could not be had: it is made up later.
    pub fn make_up_read(&self, key: &Key, status: Option<&PhoneMigrationStatus>, now: Timestamp) {
        self.update(key, |visit| visit.reads.make_up(status, now));
    }

    /// Forgets every resource of a namespace (`None`: of all) that a full list no longer shows.
    pub fn retain(&self, namespace: Option<&str>, listed: &HashSet<Key>) {
        self.with(|visits| {
            visits.retain(|key, _| {
                namespace.is_some_and(|namespace| namespace != key.namespace)
                    || listed.contains(key)
            });
        });
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, key: &Key) {
        self.with(|visits| visits.remove(key));
    }
}

impl Visit {
    fn arrange(&mut self, at: Option<BootTime>, only_look: bool) {
        if !self.woken {
            (self.due, self.only_look) = (at, only_look);
        }
    }

    fn new(uid: String, handled: u64, now: Now) -> Self {
        Self {
            uid,
            handled,
            due: None,
            only_look: false,
            woken: false,
            stale_since: None,
            changed_at: now.boot,
            secret: None,
            queued_at: None,
            look_at: None,
            failures: 0,
            conflicts: 0,
            setbacks: 0,
            look_failed: false,
            reads: ReadLog::new(now.wall),
        }
    }
}

#[cfg(test)]
mod tests;
