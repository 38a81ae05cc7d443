//! What this process remembers of each resource between reconciles: the version it has handled,
//! when the resource is due again, what its Secret held, and the reads made for it. Safety does not
//! depend on any of it; it saves requests.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::crd::{PhoneMigration, PhoneMigrationStatus, SecretVersion};
use crate::api::object_key::ObjectKey;
use crate::api::poll_interval::Interval;
use crate::api::reason::Reason;
use crate::clock::{BootTime, Now};
use crate::domain::code::CodeReading;
use crate::domain::decide::{annotated, requested};
use crate::domain::reads::Reads;
use crate::operator::state::polls::{PollSchedule, TurnPurpose};

mod delays;
mod read_log;
mod request;

pub use delays::{back_off, conflict_back_off};
pub use read_log::ReadLog;
pub use request::Asked;

/// If the newer object has not come after this time, it does not exist: etcd was restored from a
/// snapshot, and its revisions went back.
const NEVER_CAME: Duration = Duration::from_secs(30);

/// Whether a resource needs a reconcile now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The object changed since the last reconcile.
    Changed,
    /// The set time has come.
    Now,
    /// Not before this time.
    At(BootTime),
    /// Not before the object changes or gets a turn.
    Never,
    /// The cache is older than what this process wrote or read: the newer version is on its way.
    Stale,
}

/// What this process knows of a resource's code.
#[derive(Clone)]
pub enum CodeKnown {
    /// What the Secret held when it was last read, without digits.
    Read(CodeReading),
    /// Nothing: read the Secret now.
    ReadNow,
    /// Nothing, and no user asks for it: the read waits for its turn.
    AwaitTurn,
}

/// What the Secret held when it was last read for this object.
#[derive(Clone)]
struct Known {
    asks: Asks,
    reading: CodeReading,
    read_at: BootTime,
}

/// The fields that a user changes to have the Secret read. Other changes do not cause a read. Danger:
/// a reading made for one value must not answer another: the user may have changed the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    uid: Option<String>,
    generation: Option<i64>,
    requested_at: Option<String>,
}

impl Asks {
    /// What `object` asks for.
    pub fn of(object: &PhoneMigration) -> Self {
        Self {
            uid: object.metadata.uid.clone(),
            generation: object.metadata.generation,
            requested_at: annotated(object),
        }
    }
}

/// Whether status shows that the operator handled the object as it is.
fn is_shown(object: &PhoneMigration) -> bool {
    let none = PhoneMigrationStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    status.reason.is_some()
        && status.observed_generation == object.metadata.generation
        && requested(object, status).is_none()
}

#[derive(Clone)]
struct ResourceMemory {
    uid: String,
    handled: u64,
    due: Option<BootTime>,
    /// The resource had a turn to read its Secret, and has not read it since.
    may_read: bool,
    /// The resource waits only for a change of its own.
    rests: bool,
    /// Woken since its last reconcile began. That reconcile may use old data, so another one is due
    /// whatever it schedules.
    woken: bool,
    stale_since: Option<BootTime>,
    asks: Asks,
    changed_at: BootTime,
    secret: Option<SecretVersion>,
    code: Option<Box<Known>>,
    queued_at: Option<BootTime>,
    failures: u32,
    conflicts: u32,
    account_refusals: u32,
    unshown: u32,
    pre_read_failed: bool,
    /// The shown state that reports a hold, and since when this process has seen it.
    shows_hold: Option<(Reason, BootTime)>,
    reads: ReadLog,
    asked: Asked,
}

/// The memory of all resources.
#[derive(Default)]
pub struct ReconcileMemory(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    resources: HashMap<ObjectKey, ResourceMemory>,
    polls: PollSchedule,
}

impl Memory {
    fn forget(&mut self, key: &ObjectKey) -> Option<String> {
        self.polls.forget(key);
        self.resources.remove(key).map(|resource| resource.uid)
    }
}

/// The object's resourceVersion. Versions of one resource type are ordered (Kubernetes 1.35
/// documents it; etcd revisions always were). An unreadable version counts as new.
pub fn version(object: &PhoneMigration) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|rv| rv.parse().ok())
        .unwrap_or(u64::MAX)
}

impl ReconcileMemory {
    fn with<T>(&self, f: impl FnOnce(&mut Memory) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `object`, as the cache shows it, is due.
    pub fn due(&self, key: &ObjectKey, object: &PhoneMigration, now: Now) -> Due {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let seen = version(object);
        self.with(|memory| {
            let known = memory
                .resources
                .get_mut(key)
                .filter(|resource| resource.uid == uid);
            let Some(resource) = known else {
                memory.polls.forget(key);
                let resource = ResourceMemory::new(uid, seen, Asks::of(object), now);
                memory.resources.insert(key.clone(), resource);
                return Due::Changed;
            };
            if seen < resource.handled {
                let since = *resource.stale_since.get_or_insert(now.boot);
                if now.boot < since + NEVER_CAME {
                    return Due::Stale;
                }
                resource.handled = 0;
            }
            resource.stale_since = None;
            if seen > resource.handled {
                resource.handled = seen;
                let asks = Asks::of(object);
                if resource.asks != asks {
                    (resource.asks, resource.changed_at) = (asks, now.boot);
                }
                resource.due = None;
                return Due::Changed;
            }
            match resource.due {
                None => Due::Never,
                Some(at) if at <= now.boot => Due::Now,
                Some(at) => Due::At(at),
            }
        })
    }

    fn update(&self, key: &ObjectKey, f: impl FnOnce(&mut ResourceMemory)) {
        self.with(|memory| memory.resources.get_mut(key).map(f));
    }

    /// This process wrote this version, or read it live: an older version is not a change.
    pub fn handled(&self, key: &ObjectKey, object: &PhoneMigration) {
        let seen = version(object);
        self.update(key, |resource| {
            resource.handled = resource.handled.max(seen)
        });
    }

    /// Sets when the resource is due again; `None`: when it changes. Cancels its planned poll.
    pub fn set_due(&self, key: &ObjectKey, at: Option<BootTime>) {
        self.arrange(key, |polls, resource| {
            polls.cancel(key);
            resource.due = at;
        });
    }

    /// The resource waits until it changes: the operator does not need its Secret until then.
    pub fn rest(&self, key: &ObjectKey) {
        self.arrange(key, |polls, resource| {
            polls.forget(key);
            (resource.rests, resource.code) = (true, None);
        });
    }

    /// Schedules what comes next, unless the resource was woken and is due anyway.
    fn arrange(&self, key: &ObjectKey, f: impl FnOnce(&mut PollSchedule, &mut ResourceMemory)) {
        self.with(|memory| {
            let resource = memory.resources.get_mut(key);
            if let Some(resource) = resource.filter(|resource| !resource.woken) {
                resource.due = None;
                f(&mut memory.polls, resource);
            }
        });
    }

    /// Something that the resource depends on changed: it is due now, whatever a running reconcile
    /// schedules.
    pub fn wake(&self, key: &ObjectKey, now: BootTime) {
        self.update(key, |resource| {
            (resource.due, resource.woken) = (Some(now), true);
        });
    }

    /// A reconcile begins, and covers everything that was due.
    pub fn begin(&self, key: &ObjectKey) {
        self.update(key, |resource| {
            (resource.due, resource.woken, resource.rests) = (None, false, false);
        });
    }

    /// Makes the resource due now, unless a time is set.
    pub fn due_now_unless_set(&self, key: &ObjectKey, now: BootTime) {
        self.update(key, |resource| {
            resource.due = resource.due.or(Some(now));
        });
    }

    /// Plans the next read of the Secret. The interval depends on how long nothing changed.
    pub fn set_poll(&self, key: &ObjectKey, now: BootTime) {
        self.arrange(key, |polls, resource| {
            let unchanged = now.saturating_sub(resource.changed_at);
            let read_at = resource.code.as_ref().map_or(now, |known| known.read_at);
            polls.plan(key, Interval::of(unchanged), read_at, now);
        });
    }

    /// Plans a turn of its own for a resource that waits for nothing but has more to show at this
    /// time; `None`: not before it changes.
    pub fn set_show(&self, key: &ObjectKey, at: Option<BootTime>, now: BootTime) {
        self.arrange(key, |polls, _| match at {
            Some(at) => polls.show(key, at, now),
            None => polls.cancel(key),
        });
    }

    /// Requests a read of the Secret in the next possible turn, if the operator needs the Secret.
    pub fn ask(&self, key: &ObjectKey, now: BootTime) {
        self.with(|memory| {
            if memory
                .resources
                .get(key)
                .is_some_and(|resource| !resource.rests)
            {
                memory.polls.ask(key, now);
            }
        });
    }

    /// Takes the turn of `now`, if a resource may have it; returns that resource, which is due now.
    pub fn take_poll(&self, now: BootTime) -> Option<ObjectKey> {
        self.with(|memory| {
            let turn = memory.polls.take(now)?;
            let resource = memory.resources.get_mut(&turn.key)?;
            match turn.purpose {
                TurnPurpose::Read => (resource.code, resource.may_read) = (None, true),
                TurnPurpose::Show => {}
            }
            resource.due = Some(now);
            Some(turn.key)
        })
    }

    /// When the next turn comes that a resource may have.
    pub fn next_poll(&self) -> Option<BootTime> {
        self.with(|memory| memory.polls.next())
    }

    /// What is known of the code of `object`. The Secret is read at once for an object that status
    /// does not show as handled, and for a resource that has had its turn.
    pub fn code(&self, key: &ObjectKey, object: &PhoneMigration) -> CodeKnown {
        let asks = Asks::of(object);
        self.with(|memory| {
            let resource = memory.resources.get(key);
            let may_read = resource.is_some_and(|resource| resource.may_read);
            let known = resource.and_then(|resource| resource.code.as_deref());
            match known.filter(|known| known.asks == asks) {
                Some(known) => CodeKnown::Read(known.reading.clone()),
                None if may_read || !is_shown(object) => {
                    // This read answers all requests so far, but none that come later.
                    memory.polls.forget(key);
                    CodeKnown::ReadNow
                }
                None => CodeKnown::AwaitTurn,
            }
        })
    }

    /// Remembers what the Secret of `object` holds, and its version. A new version makes polls
    /// frequent again.
    pub fn code_read(
        &self,
        key: &ObjectKey,
        object: &PhoneMigration,
        secret: Option<SecretVersion>,
        reading: &CodeReading,
        now: BootTime,
    ) {
        self.update(key, |resource| {
            resource.code = Some(Box::new(Known {
                asks: Asks::of(object),
                reading: reading.clone().without_digits(),
                read_at: now,
            }));
            resource.may_read = false;
            if resource.secret != secret {
                resource.secret = secret;
                resource.changed_at = now;
            }
        });
    }

    /// Sets since when the resource waits in the queue, unless it waits already; `None` forgets it.
    pub fn queued(&self, key: &ObjectKey, at: Option<BootTime>) {
        self.update(key, |resource| {
            resource.queued_at = at.map(|at| resource.queued_at.unwrap_or(at));
        });
    }

    /// Since when the resource waits in the queue.
    pub fn queued_at(&self, key: &ObjectKey) -> Option<BootTime> {
        self.with(|memory| {
            memory
                .resources
                .get(key)
                .and_then(|resource| resource.queued_at)
        })
    }

    /// Records a failed reconcile; returns the back-off until the next: 5 s doubling to 5 min.
    pub fn failed(&self, key: &ObjectKey, now: BootTime) -> Duration {
        self.with(|memory| {
            let Some(resource) = memory.resources.get_mut(key) else {
                return back_off(0);
            };
            let delay = back_off(resource.failures);
            resource.failures += 1;
            resource.due = Some(now + delay);
            delay
        })
    }

    /// Records a conflict with another write; returns the back-off until the next reconcile.
    pub fn conflicted(&self, key: &ObjectKey, now: BootTime) -> Duration {
        self.with(|memory| {
            let Some(resource) = memory.resources.get_mut(key) else {
                return conflict_back_off(0);
            };
            let delay = conflict_back_off(resource.conflicts);
            resource.conflicts += 1;
            resource.due = Some(now + delay);
            delay
        })
    }

    /// True if the last reconcile had a conflict with another write.
    pub fn met_conflict(&self, key: &ObjectKey) -> bool {
        self.with(|memory| {
            let resource = memory.resources.get(key);
            resource.is_some_and(|resource| resource.conflicts > 0)
        })
    }

    /// Records that a status was not written. Reconciles succeed meanwhile and reset their own
    /// back-off; this one grows until a status is stored: 5 s doubling to 5 min.
    pub fn not_shown(&self, key: &ObjectKey, now: BootTime) {
        self.update(key, |resource| {
            resource.due = Some(now + back_off(resource.unshown));
            resource.unshown += 1;
        });
    }

    /// Records that the API server stored a status as written.
    pub fn shown(&self, key: &ObjectKey) {
        self.update(key, |resource| resource.unshown = 0);
    }

    /// Records a successful reconcile.
    pub fn succeeded(&self, key: &ObjectKey) {
        self.update(key, |resource| {
            (resource.failures, resource.conflicts) = (0, 0)
        });
    }

    /// Records one more refusal of the account through this resource; returns the resource's own
    /// back-off.
    pub fn next_account_back_off(&self, key: &ObjectKey) -> Duration {
        self.with(|memory| {
            let Some(resource) = memory.resources.get_mut(key) else {
                return back_off(0);
            };
            resource.account_refusals += 1;
            back_off(resource.account_refusals - 1)
        })
    }

    /// Since when this process has seen the resource in this state, which reports a hold; `None`:
    /// it is not in such a state.
    pub fn shows_hold(
        &self,
        key: &ObjectKey,
        state: Option<Reason>,
        now: BootTime,
    ) -> Option<BootTime> {
        self.with(|memory| {
            let Some(resource) = memory.resources.get_mut(key) else {
                return state.map(|_| now);
            };
            resource.shows_hold = match (state, resource.shows_hold) {
                (Some(state), Some((known, since))) if state == known => Some((state, since)),
                (Some(state), _) => Some((state, now)),
                (None, _) => None,
            };
            resource.shows_hold.map(|(_, since)| since)
        })
    }

    /// Records that the pre-read of a first attempt failed. True the first time only.
    pub fn note_pre_read_failure(&self, key: &ObjectKey) -> bool {
        self.with(|memory| {
            let resource = memory.resources.get_mut(key);
            resource.is_none_or(|resource| !std::mem::replace(&mut resource.pre_read_failed, true))
        })
    }

    /// The reads made about this subject.
    pub fn reads(&self, key: &ObjectKey, subject: &str, now: Timestamp) -> Reads {
        self.with(|memory| match memory.resources.get_mut(key) {
            None => Reads::none(now),
            Some(resource) => resource.reads.about(subject, now),
        })
    }

    /// Records a read; `answered`: CAMS answered it.
    pub fn read_made(&self, key: &ObjectKey, subject: &str, answered: bool, now: Timestamp) {
        self.update(key, |resource| resource.reads.made(subject, answered, now));
    }

    /// Records that a read said "not verified" although status says verified.
    pub fn read_denied(&self, key: &ObjectKey, subject: &str, now: Timestamp) {
        self.update(key, |resource| resource.reads.denied(subject, now));
    }

    /// Records that the number was found verified.
    pub fn verified(&self, key: &ObjectKey) {
        self.update(key, |resource| resource.reads.verified());
    }

    /// Remembers a user's requests that are not handled yet. True if the status read that comes
    /// with a request is still to be made: one read for each value.
    pub fn asks(
        &self,
        key: &ObjectKey,
        requested_at: Option<&str>,
        retry_token: Option<&str>,
    ) -> bool {
        self.with(|memory| {
            let Some(resource) = memory.resources.get_mut(key) else {
                return requested_at.is_some() || retry_token.is_some();
            };
            resource.asked.see(requested_at, retry_token);
            resource.asked.owed
        })
    }

    /// The read for the request was made, or is on its way.
    pub fn read_for_request(&self, key: &ObjectKey) {
        self.update(key, |resource| resource.asked.owed = false);
    }

    /// Records that the read after a refusal failed: it is still owed.
    pub fn make_up_read(&self, key: &ObjectKey, subject: &str, now: Timestamp) {
        self.update(key, |resource| resource.reads.make_up(subject, now));
    }

    /// The known resources of a namespace (`None`: of all) that are missing in a full list.
    pub fn lost(&self, namespace: Option<&str>, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        self.with(|memory| {
            let is_lost = |key: &&ObjectKey| {
                namespace.is_none_or(|namespace| namespace == key.namespace)
                    && !listed.contains(*key)
            };
            memory.resources.keys().filter(is_lost).cloned().collect()
        })
    }

    /// After a restore of etcd: forgets which versions were handled, for every resource of a
    /// namespace (`None`: of all). The resources arrive again.
    pub fn forget_versions(&self, namespace: Option<&str>) {
        self.with(|memory| {
            let ours =
                |key: &ObjectKey| namespace.is_none_or(|namespace| namespace == key.namespace);
            for (_, resource) in memory.resources.iter_mut().filter(|(key, _)| ours(key)) {
                (resource.handled, resource.stale_since) = (0, None);
            }
        });
    }

    /// Forgets a resource that is gone; returns its uid, if it was known.
    pub fn forget(&self, key: &ObjectKey) -> Option<String> {
        self.with(|memory| memory.forget(key))
    }
}

impl ResourceMemory {
    fn new(uid: String, handled: u64, asks: Asks, now: Now) -> Self {
        Self {
            uid,
            handled,
            due: None,
            may_read: false,
            rests: false,
            woken: false,
            stale_since: None,
            asks,
            changed_at: now.boot,
            secret: None,
            code: None,
            queued_at: None,
            failures: 0,
            conflicts: 0,
            account_refusals: 0,
            unshown: 0,
            pre_read_failed: false,
            shows_hold: None,
            reads: ReadLog::new(now.wall),
            asked: Asked::default(),
        }
    }
}

#[cfg(test)]
mod tests;
