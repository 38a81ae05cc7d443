//! What the watch tells beside the visits that it triggers: who names which number, who is gone,
//! what held the account when another process led.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use crate::clock;
use crate::cluster::{Key, Watched};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::quota::Cause;
use crate::reads::MAX_BACK_OFF;
use crate::reason::Reason;

/// Takes in what the watch yields: who names which number, who is gone, what held the account
/// when the last process ended.
pub struct Listing {
    ctx: Arc<Context>,
    namespace: Option<String>,
    listed: watch::Sender<bool>,
    current: Mutex<Listed>,
    newest: Mutex<Newest>,
}

/// What the list that is being read has shown so far.
#[derive(Debug, Default)]
struct Listed {
    uids: HashSet<String>,
    keys: HashSet<Key>,
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

    /// What holds the account and for how long; never for long, since status can be forged.
    fn held(&self, now: Timestamp) -> Option<(HeldBy, Duration)> {
        let (_, held) = self.0.as_ref()?;
        let (cause, until) = (*held)?;
        let wait = until.duration_since(now);
        wait.is_positive()
            .then(|| (cause, wait.unsigned_abs().min(MAX_BACK_OFF)))
    }
}

impl Listing {
    /// `listed` becomes true when the first list is complete.
    pub fn new(ctx: Arc<Context>, namespace: Option<String>, listed: watch::Sender<bool>) -> Self {
        Self {
            ctx,
            namespace,
            listed,
            current: Mutex::default(),
            newest: Mutex::default(),
        }
    }

    /// Takes in one event.
    pub fn take_in(&self, event: &Result<Event<Watched>, watcher::Error>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Init) => *current = Listed::default(),
            Ok(Event::InitApply(watched)) => {
                if let Ok(object) = &watched.0 {
                    current.uids.extend(object.metadata.uid.clone());
                    current.keys.extend(crate::look::key_of(object));
                }
                self.seen(watched);
            }
            Ok(Event::InitDone) => self.complete(std::mem::take(&mut *current)),
            Ok(Event::Apply(watched)) => self.seen(watched),
            Ok(Event::Delete(watched)) => {
                if let Some(uid) = &watched.meta().uid {
                    self.ctx.quota.leave(uid);
                    if let Some(key) = watched.0.as_ref().ok().and_then(crate::look::key_of) {
                        self.ctx.visits.forget(&key);
                    }
                    let others = self.ctx.siblings.gone(uid);
                    self.ctx.wake_all(&others);
                }
            }
            Err(error) => {
                tracing::warn!(kind = watch_error(error), "Watch interrupted, trying again")
            }
        }
    }

    /// Danger: the store takes the objects of a list in when the list is complete, and tells nobody.
    /// Who was visited before, when its page came, was visited as the store had it: what the
    /// list brought of it would not be looked at.
    fn complete(&self, listed: Listed) {
        let namespace = self.namespace.as_deref();
        let gone = self.ctx.siblings.retain(namespace, &listed.uids);
        self.ctx.visits.retain(namespace, &listed.keys);
        self.ctx.wake_all(&gone);
        if self.listed.send_replace(true) {
            for key in &listed.keys {
                self.ctx.trigger(key);
            }
        } else {
            self.assume_hold();
        }
    }

    fn seen(&self, watched: &Watched) {
        if let Ok(object) = &watched.0 {
            self.newest().note(object);
            let others = self.ctx.siblings.seen(object);
            self.ctx.wake_all(&others);
        }
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called at start and when this process becomes the leader: what held the account
    /// before holds it still.
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

fn watch_error(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) => "list failed",
        watcher::Error::WatchStartFailed(_) => "watch not started",
        watcher::Error::WatchError(_) => "watch ended by the API server",
        watcher::Error::WatchFailed(_) => "watch broke",
        watcher::Error::NoResourceVersion => "list without resourceVersion",
    }
}
