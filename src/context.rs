//! What every look and every attempt shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};

use crate::cams::Cams;
use crate::clock;
use crate::cluster::{Cluster, Key};
use crate::code::FingerprintKey;
use crate::crd::PhoneMigration;
use crate::decide::is_open;
use crate::event_queue::EventQueue;
use crate::lease::Tenure;
use crate::metrics::Metrics;
use crate::quota::{Action, Quota, Report};
use crate::siblings::Siblings;
use crate::spent::SpentCodes;
use crate::visits::Visits;

/// Name of the account in fingerprints and for ownership of numbers. Danger: not the AccessKey
/// id: a rotated key would make every spent code look like a different one.
pub const ACCOUNT: &str = "default";

/// The shared state.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// Events on their way.
    pub events: EventQueue,
    /// The cloud API.
    pub cams: Cams,
    /// The account's quota.
    pub quota: Quota,
    /// Who names the same number.
    pub siblings: Siblings,
    /// Codes sent by this process.
    pub spent: SpentCodes,
    /// What was handled when.
    pub visits: Visits,
    /// Running attempts and reads.
    pub tasks: Arc<Tasks>,
    /// Key of the fingerprints.
    pub fingerprint_key: FingerprintKey,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// How long the service accepts a signature.
    pub validity: Duration,
    /// Claims that were written and certainly never sent.
    pub never_sent: NeverSent,
    /// Whether this process may act.
    pub activity: Activity,
    /// Where to send a resource that is to be looked at, by namespace; `""` takes all others.
    pub triggers: HashMap<String, UnboundedSender<Key>>,
}

impl Context {
    /// Makes a resource due now and has it looked at.
    pub fn wake(&self, key: &Key) {
        self.visits.wake(key, clock::boot());
        self.trigger(key);
    }

    /// Has a resource looked at, if it is due.
    pub fn trigger(&self, key: &Key) {
        let sender = self
            .triggers
            .get(&key.namespace)
            .or_else(|| self.triggers.get(""));
        if let Some(sender) = sender {
            // The receiver goes only with the whole process.
            let _ = sender.send(key.clone());
        }
    }

    /// Tells the quota what became of a call.
    pub fn report(&self, action: Action, report: Report) {
        self.quota.report(action, report);
        // Here, since a short pause may be over before the next tick.
        self.note_pause();
    }

    /// Tells the metrics how long the account is paused.
    pub fn note_pause(&self) {
        let until = self.quota.paused_until();
        self.metrics.account.note_pause(clock::boot(), until);
    }

    /// Wakes each of them.
    pub fn wake_all(&self, keys: &[Key]) {
        for key in keys {
            self.wake(key);
        }
    }
}

/// Whether this process may begin anything: it leads, and is not shutting down.
#[derive(Clone)]
pub struct Activity {
    tenure: watch::Receiver<Tenure>,
    draining: Arc<watch::Sender<bool>>,
}

impl Activity {
    /// `tenure` follows the Lease.
    pub fn new(tenure: watch::Receiver<Tenure>) -> Self {
        Self {
            tenure,
            draining: Arc::new(watch::Sender::new(false)),
        }
    }

    /// True while new attempts may begin. By the clock: leadership ends when its time is up,
    /// whether or not anybody was told.
    pub fn may_act(&self) -> bool {
        self.tenure.borrow().is_leader(clock::boot()) && !self.is_draining()
    }

    /// True once the process was asked to stop.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// The process was asked to stop.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until the process is asked to stop.
    pub async fn asked_to_stop(&self) {
        // An error would mean that the sender is gone, and this struct holds it.
        let _ = self
            .draining
            .subscribe()
            .wait_for(|draining| *draining)
            .await;
    }
}

/// Claims whose request this process knows it never sent, but whose write may still surface:
/// released when it does.
#[derive(Default)]
pub struct NeverSent(Mutex<std::collections::HashSet<String>>);

impl NeverSent {
    /// Remembers the attempt.
    pub fn add(&self, attempt_id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(attempt_id.to_owned());
    }

    /// True if the attempt that `object` shows is a claim of ours that was certainly never
    /// sent, and whose write surfaced late; also when another process observed it meanwhile and
    /// could not know its outcome.
    pub fn surfaced_in(&self, object: &PhoneMigration) -> bool {
        let Some(status) = object.status.as_ref().filter(|status| is_open(status)) else {
            return false;
        };
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = status.attempt.as_ref();
        attempt.is_some_and(|attempt| ids.contains(&attempt.id))
    }
}

/// The tasks that run for resources: at most one per resource, and at most one per number.
#[derive(Default)]
pub struct Tasks {
    running: Mutex<HashMap<String, String>>,
    ended: Notify,
}

impl Tasks {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        f(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `task` for the resource of this uid and number, unless one runs for either.
    /// `after` runs when it ended, also when it panicked.
    pub fn start(
        self: &Arc<Self>,
        uid: &str,
        number: &str,
        task: impl Future<Output = ()> + Send + 'static,
        after: impl FnOnce() + Send + 'static,
    ) -> bool {
        let free = self.with(|running| {
            let busy = running.contains_key(uid) || running.values().any(|n| n == number);
            if !busy {
                running.insert(uid.to_owned(), number.to_owned());
            }
            !busy
        });
        if !free {
            return false;
        }
        let end = End {
            tasks: Arc::clone(self),
            uid: uid.to_owned(),
            after: Some(Box::new(after)),
        };
        tokio::spawn(async move {
            let _end = end;
            task.await;
        });
        true
    }

    /// True while a task runs for this resource.
    pub fn is_running(&self, uid: &str) -> bool {
        self.with(|running| running.contains_key(uid))
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.with(|running| running.len())
    }

    /// Waits until none runs.
    pub async fn drained(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Takes the task off the list when it ends, however it ends.
struct End {
    tasks: Arc<Tasks>,
    uid: String,
    after: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.tasks.with(|running| running.remove(&self.uid));
        self.tasks.ended.notify_waiters();
        if let Some(after) = self.after.take() {
            after();
        }
    }
}
