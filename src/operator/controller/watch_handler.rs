//! What the watch reports in addition to triggering reconciles: which resource has which number,
//! which resources are gone, and what held the account when another process led.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource;
use kube::runtime::watcher::{self, Event};

use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::api::reason::Reason;
use crate::back_off;
use crate::clock;
use crate::cluster::Arrived;
use crate::operator::controller::arrivals::needs_nothing;
use crate::operator::state::context::Context;
use crate::operator::state::numbers::Gone;
use crate::quota::Cause;

mod requests;

use requests::Requests;

/// Handles the events of the watch: which resource has which number, which are gone, and what held
/// the account when the last process ended.
pub struct WatchHandler {
    ctx: Arc<Context>,
    namespace: Option<String>,
    current: Mutex<Listed>,
    /// Restores of etcd before the last complete list began.
    restores: AtomicU64,
    newest: Mutex<Newest>,
    requests: Mutex<Requests>,
}

/// What the current list has shown so far.
#[derive(Debug, Default)]
struct Listed {
    uids: HashSet<String>,
    /// Keys of the resources that may need something.
    keys: HashSet<ObjectKey>,
    /// Restores of etcd when the list began.
    restores: u64,
}

/// What held the account when the last process ended.
#[derive(Clone, Copy, Debug)]
enum HeldBy {
    Hold(Cause),
    Pause,
}

/// What the newest attempt of all resources says about the account. PURE.
#[derive(Debug, Default)]
struct Newest(Option<(Timestamp, Option<(HeldBy, Timestamp)>)>);

impl Newest {
    fn note(&mut self, object: &PhoneMigration) {
        let Some(status) = &object.status else { return };
        let attempt = status.attempt.as_ref();
        let Some(finished) = attempt.and_then(|attempt| attempt.finished_at.as_ref()) else {
            return;
        };
        let older = self
            .0
            .as_ref()
            .is_some_and(|(newest, _)| *newest > finished.0);
        if older {
            return;
        }
        let cause = match status.reason.as_deref().and_then(Reason::parse) {
            Some(Reason::CredentialsInvalid) => Some(HeldBy::Hold(Cause::Credentials)),
            Some(Reason::AccountError) => Some(HeldBy::Hold(Cause::Account)),
            Some(Reason::ClockSkew) => Some(HeldBy::Hold(Cause::Clock)),
            Some(Reason::Throttled) => Some(HeldBy::Pause),
            _ => None,
        };
        let until = status.next_attempt_at.as_ref().map(|at| at.0);
        self.0 = Some((finished.0, cause.zip(until)));
    }

    /// What holds the account, and for how long. The time is limited, since status can be forged.
    fn held(&self, now: Timestamp) -> Option<(HeldBy, Duration)> {
        let (_, held) = self.0.as_ref()?;
        let (cause, until) = (*held)?;
        let wait = until.duration_since(now);
        wait.is_positive()
            .then(|| (cause, wait.unsigned_abs().min(back_off::LONGEST)))
    }
}

impl WatchHandler {
    /// Handles the events of a namespace (`None`: of all).
    pub fn new(ctx: Arc<Context>, namespace: Option<String>) -> Self {
        Self {
            ctx,
            namespace,
            current: Mutex::default(),
            restores: AtomicU64::default(),
            newest: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Handles one event.
    pub fn take_in(&self, event: &Result<Event<Arrived>, watcher::Error>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Init) => {
                *current = Listed {
                    restores: self.ctx.revisions.restores(),
                    ..Listed::default()
                };
            }
            Ok(Event::InitApply(arrived)) => {
                if let Ok(object) = &arrived.0 {
                    current.uids.extend(object.metadata.uid.clone());
                    if needs_nothing(arrived) {
                        self.is_out(arrived);
                    } else {
                        current.keys.extend(ObjectKey::of(object));
                    }
                }
                self.seen(arrived);
            }
            Ok(Event::InitDone) => self.complete(std::mem::take(&mut *current)),
            Ok(Event::Apply(arrived)) => {
                self.seen(arrived);
                if needs_nothing(arrived) {
                    self.is_out(arrived);
                }
            }
            Ok(Event::Delete(arrived)) => {
                self.ctx.revisions.seen(version(arrived));
                self.is_out(arrived);
                if let Some(uid) = &arrived.meta().uid {
                    self.requests().gone(uid);
                    let object = arrived.0.as_ref().ok();
                    let number = object.map(|object| object.spec.phone_number.as_str());
                    let gone = self.ctx.numbers.gone(uid, number);
                    // After the resource is forgotten: a concurrent `enqueue` notices that.
                    self.ctx.quota.leave(uid);
                    self.wake_duplicates(&gone);
                }
            }
            Err(error) => {
                tracing::warn!(kind = watch_error(error), "Watch interrupted, trying again")
            }
        }
    }

    /// Danger: the store takes over the objects of a list only when the list is complete, and
    /// triggers nothing then. A resource reconciled while the list was still being read was
    /// reconciled against the old store, so trigger every listed resource once more.
    fn complete(&self, listed: Listed) {
        let namespace = self.namespace.as_deref();
        let gone = self.ctx.numbers.retain(namespace, &listed.uids);
        for gone in &gone {
            self.ctx.quota.leave(&gone.uid);
        }
        for key in self.ctx.memory.lost(namespace, &listed.keys) {
            self.ctx.forget(&key);
        }
        if let Some(names) = &self.ctx.secret_names {
            names.retain(namespace, &listed.keys);
        }
        self.requests().retain(&listed.uids);
        if listed.restores != self.restores.swap(listed.restores, Ordering::Relaxed) {
            self.ctx.memory.forget_versions(namespace);
        }
        self.wake_duplicates(&gone);
        if self.ctx.views.listed(namespace) {
            self.assume_hold();
            // Their requests came before this process knew that the account is held.
            if let Some(uid) = self.requests().any() {
                self.ctx.quota.request_probe(uid);
            }
        } else {
            for key in &listed.keys {
                self.ctx.trigger(key);
            }
        }
    }

    /// No more work for this resource, for now or for good: no turn, reconcile or poll.
    fn is_out(&self, arrived: &Arrived) {
        let meta = arrived.meta();
        if let Some(uid) = &meta.uid {
            self.ctx.quota.leave(uid);
        }
        if let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) {
            let key = ObjectKey {
                namespace: namespace.clone(),
                name: name.clone(),
            };
            self.ctx.forget(&key);
            if let Some(names) = &self.ctx.secret_names {
                names.gone(&key);
            }
        }
    }

    /// Wakes the resources that waited for a gone resource, whose code had verified their number.
    fn wake_duplicates(&self, gone: &[Gone]) {
        let verified_it = |gone: &&Gone| {
            let ledger = self.ctx.index.get(&gone.number);
            gone.was_verified || ledger.own_verified(&gone.uid).is_some()
        };
        let freed = gone.iter().filter(verified_it).map(|gone| &gone.number);
        for number in freed.collect::<BTreeSet<_>>() {
            self.ctx.wake_all(&self.ctx.numbers.duplicates(number));
        }
    }

    /// Danger: do not request the probe anywhere later. The reconcile that reads the annotation may
    /// be the very probe that left before the repair, or one that only acknowledges the annotation.
    fn seen(&self, arrived: &Arrived) {
        self.ctx.revisions.seen(version(arrived));
        match &arrived.0 {
            Ok(object) => {
                self.newest().note(object);
                self.ctx.numbers.seen(object);
                if let (Some(names), Some(key)) = (&self.ctx.secret_names, ObjectKey::of(object))
                    && !needs_nothing(arrived)
                {
                    names.seen(&key, object);
                }
                if let Some(uid) = self.requests().seen(object) {
                    self.ctx.quota.request_probe(uid);
                }
            }
            // The resource exists, but nothing could take its turn.
            Err(_) => {
                if let Some(uid) = &arrived.meta().uid {
                    self.ctx.quota.leave(uid);
                }
            }
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call this at start and when this process becomes the leader: what held the account before
    /// still holds it.
    pub fn assume_hold(&self) {
        let now = clock::now();
        let Some((cause, wait)) = self.newest().held(now.wall) else {
            return;
        };
        tracing::info!(?cause, ?wait, "Account was held by the last process");
        match cause {
            HeldBy::Hold(cause) => self.ctx.quota.assume_hold(cause, now.boot + wait),
            HeldBy::Pause => self.ctx.quota.assume_pause(now.boot + wait),
        }
    }
}

fn version(arrived: &Arrived) -> Option<u64> {
    arrived.meta().resource_version.as_deref()?.parse().ok()
}

fn watch_error(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) => "list failed",
        watcher::Error::WatchStartFailed(_) => "watch not started",
        watcher::Error::WatchError(_) => "watch ended by the API server",
        watcher::Error::WatchFailed(_) => "watch broke",
        watcher::Error::NoResourceVersion => "list without resourceVersion",
    }
}
