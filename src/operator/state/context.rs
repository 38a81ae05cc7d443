//! The state that all reconciles and attempts share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::api::object_key::ObjectKey;
use crate::cams::Cams;
use crate::clock;
use crate::cluster::Cluster;
use crate::cluster::event_queue::EventQueue;
use crate::cluster::lease::Term;
use crate::cluster::ledgers::LedgerStore;
use crate::domain::code::{CodeDigits, FingerprintKey};
use crate::operator::state::ledger_index::LedgerIndex;
use crate::operator::state::ledger_memory::{Abandoned, DryRuns, LedgerBackOffs};
use crate::operator::state::memory::ReconcileMemory;
use crate::operator::state::numbers::Numbers;
use crate::operator::state::observations::Observations;
use crate::operator::state::revisions::Revisions;
use crate::operator::state::secret_names::SecretNames;
use crate::operator::state::sent::SentEntries;
use crate::operator::state::triggers::Triggers;
use crate::operator::state::views::Views;
use crate::quota::{Action, BrakeChange, QueueEntry, Quota, Report};
use crate::telemetry::metrics::Metrics;

/// Name of the account in fingerprints and metrics. Danger: do not use the AccessKey id: after a
/// rotation of the key, every spent code would look like a different one.
pub const ACCOUNT: &str = "default";

/// The shared state.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// Events on their way to the API server.
    pub events: EventQueue,
    /// The client of CAMS.
    pub cams: Cams,
    /// The account's quota.
    pub quota: Quota,
    /// The requests for CodeLedgers.
    pub ledgers: LedgerStore,
    /// The ledgers as this process last saw them.
    pub index: LedgerIndex,
    /// The attempts that this process has sent.
    pub sent: SentEntries,
    /// Claims that this process wrote and certainly never sent.
    pub abandoned: Abandoned,
    /// When the last dry run of a claim passed.
    pub dry_runs: DryRuns,
    /// Back-offs of numbers whose ledger cannot be used.
    pub ledger_back_offs: LedgerBackOffs,
    /// Open entries, and their status reads.
    pub observations: Observations,
    /// Which watched resources have which number.
    pub numbers: Numbers,
    /// The newest revision of PhoneMigrations that this process has seen.
    pub revisions: Revisions,
    /// The state of each namespace's watch.
    pub views: Views,
    /// The memory of each resource between reconciles.
    pub memory: ReconcileMemory,
    /// Running attempts and reads.
    pub tasks: Arc<Tasks>,
    /// Key of the fingerprints.
    pub fingerprint_key: FingerprintKey,
    /// Number of digits in a code.
    pub code_digits: CodeDigits,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// How long CAMS accepts a signature.
    pub validity: Duration,
    /// Whether this process may act.
    pub activity: Activity,
    /// The resources to reconcile.
    pub triggers: Triggers,
    /// Notified when a poll is planned.
    pub planned: Notify,
    /// Which resources name which Secret, if Secrets are watched.
    pub secret_names: Option<SecretNames>,
}

impl Context {
    /// Makes a resource due now and triggers its reconcile.
    pub fn wake(&self, key: &ObjectKey) {
        self.memory.wake(key, clock::boot());
        self.trigger(key);
    }

    /// Triggers the reconcile of a resource, which does nothing unless the resource is due.
    pub fn trigger(&self, key: &ObjectKey) {
        self.triggers.send(key);
    }

    /// Forgets a resource that is gone, with its poll and its queue entry.
    pub fn forget(&self, key: &ObjectKey) {
        if let Some(uid) = self.memory.forget(key) {
            self.quota.leave(&uid);
        }
    }

    /// Reports the result of a call to the quota.
    pub fn report(&self, action: Action, report: Report) {
        self.quota.report(action, report);
        // Here, since a short pause may end before the next tick.
        self.note_pause();
    }

    /// Reports the result of the submission of `uid` to the quota; `refused_with` is the Code of a
    /// refusal.
    pub fn report_submission(&self, uid: &str, report: Report, refused_with: Option<&str>) {
        let change = self.quota.report_submission(uid, report, refused_with);
        self.note_pause();
        match change {
            BrakeChange::None => {}
            BrakeChange::Opened => tracing::error!(
                code = refused_with,
                "CAMS refused the last codes of three numbers with one Code: the operator submits one \
                 code at a time until one is accepted, or refused otherwise"
            ),
            BrakeChange::Closed => tracing::info!(
                code = refused_with,
                "A code was accepted, or refused otherwise than the last ones: codes go on at the full \
                 rate, those of the refused namespaces and custSpaceIds one at a time"
            ),
            BrakeChange::PairBraked(pair) => tracing::warn!(
                code = refused_with,
                namespace = pair.namespace,
                cust_space_id = pair.cust_space_id,
                "CAMS refused the last three codes of one custSpaceId of a namespace with one Code: its \
                 codes go one at a time until one is accepted"
            ),
        }
    }

    /// Reports to the metrics how long the account is paused.
    pub fn note_pause(&self) {
        let until = self.quota.paused_until();
        self.metrics.account.note_pause(clock::boot(), until);
    }

    /// True if this process watches the resources of a namespace.
    pub fn watches(&self, namespace: &str) -> bool {
        self.triggers.has(namespace)
    }

    /// Wakes each of these resources.
    pub fn wake_all(&self, keys: &[ObjectKey]) {
        for key in keys {
            self.wake(key);
        }
    }
}

/// Puts a resource into the queue, if the watch shows it.
///
/// Danger: code that forgets a resource removes its queue entry afterwards. An entry that is added
/// later still would hold a turn for no resource, so this function checks for the resource after
/// adding the entry.
pub fn enqueue(quota: &Quota, numbers: &Numbers, number: &str, queue_entry: QueueEntry) {
    let uid = queue_entry.uid.clone();
    quota.enqueue(queue_entry);
    if !numbers.knows(number, &uid) {
        quota.leave(&uid);
    }
}

/// Whether this process may begin work: it leads, and is not shutting down.
#[derive(Clone)]
pub struct Activity {
    term: watch::Receiver<Term>,
    draining: Arc<watch::Sender<bool>>,
}

impl Activity {
    /// `term` follows the Lease.
    pub fn new(term: watch::Receiver<Term>) -> Self {
        Self {
            term,
            draining: Arc::new(watch::Sender::new(false)),
        }
    }

    /// True while new attempts may begin. The clock decides: leadership ends when its time is up,
    /// even if no update was sent.
    pub fn may_act(&self) -> bool {
        self.term.borrow().is_leader(clock::boot()) && !self.is_draining()
    }

    /// True while this process leads, even while it is stopping: it still writes status then.
    pub fn leads(&self) -> bool {
        self.term.borrow().is_leader(clock::boot())
    }

    /// True once the process was asked to stop.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// For tasks that wait: becomes true once the process was asked to stop.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Asks the process to stop.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until the process is asked to stop.
    pub async fn asked_to_stop(&self) {
        // An error would mean that the sender is dropped, but this struct owns it.
        let _ = self.draining().wait_for(|draining| *draining).await;
    }
}

/// The tasks that run for phone numbers: at most one per number.
#[derive(Default)]
pub struct Tasks {
    /// The uid of the resource that each task runs for, by number; empty if it runs for none.
    running: Mutex<HashMap<String, String>>,
    ended: Notify,
}

impl Tasks {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        f(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts `task` for the number and for the resource of this uid (empty: none), unless a task
    /// runs for the number. `after` runs when the task ends, also if it panics. True if it started.
    pub fn start(
        self: &Arc<Self>,
        number: &str,
        uid: &str,
        task: impl Future<Output = ()> + Send + 'static,
        after: impl FnOnce() + Send + 'static,
    ) -> bool {
        let free = self.with(|running| {
            let free = !running.contains_key(number);
            if free {
                running.insert(number.to_owned(), uid.to_owned());
            }
            free
        });
        if !free {
            return false;
        }
        let end = End {
            tasks: Arc::clone(self),
            number: number.to_owned(),
            after: Some(Box::new(after)),
        };
        tokio::spawn(async move {
            let _end = end;
            task.await;
        });
        true
    }

    /// True while a task runs for the resource of this uid and number.
    pub fn is_running(&self, number: &str, uid: &str) -> bool {
        self.with(|running| running.get(number).is_some_and(|of| of == uid))
    }

    /// True while a task runs for the number.
    pub fn runs_for_number(&self, number: &str) -> bool {
        self.with(|running| running.contains_key(number))
    }

    /// The number of running tasks.
    pub fn count(&self) -> usize {
        self.with(|running| running.len())
    }

    /// Waits until no task runs.
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

/// Removes the task from the list when it ends, however it ends.
struct End {
    tasks: Arc<Tasks>,
    number: String,
    after: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.tasks.with(|running| running.remove(&self.number));
        self.tasks.ended.notify_waiters();
        if let Some(after) = self.after.take() {
            after();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_closes_by_the_clock_though_nobody_says_so() {
        let (term, seen) = watch::channel(Term::NEVER);
        let activity = Activity::new(seen);
        assert!(!activity.may_act());
        let now = clock::boot();
        term.send_replace(Term {
            term: 1,
            until: now + Duration::from_secs(60),
        });
        assert!(activity.may_act());
        // Its time passed, and no update was sent.
        term.send_replace(Term {
            term: 1,
            until: now,
        });
        assert!(!activity.may_act());
        term.send_replace(Term::ALWAYS);
        assert!(activity.may_act());
        activity.drain();
        assert!(!activity.may_act());
    }
}
