//! Leader election by a Lease: one process at a time begins attempts.
//!
//! The operator does not use a crate for this: existing ones keep reporting leadership while
//! renewals fail, or take over without a precondition. Every write is a create, or a `replace` with
//! a resourceVersion; [`election`] (pure) decides when to write. Callers check
//! [`Term::is_leader`] with the clock at each use, so leadership ends on time even if this task
//! is stuck.
//!
//! Limits: two processes with one identity both lead, so identities must be unique. The Lease only
//! reduces the overlap of leaders; the fence is the claim in the number's CodeLedger. Nothing here
//! ends a running attempt or a watch.

use std::time::Duration;

use kube::Client;
use tokio::sync::{oneshot, watch};

pub mod election;
mod lease_client;

pub use election::Term;
use lease_client::LeaseClient;

/// Name of the Lease, and value of the metric's label.
pub const NAME: &str = "phone-migration-operator";

/// Pause between the end of the last call and the release, so that calls of two leaders never fall
/// into one second of the quota.
const QUIET: Duration = Duration::from_secs(1);
/// Limit for the whole release; it must fit into the manifests' grace period.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// Leader election with this Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// Namespace of the Lease.
    pub namespace: String,
    /// The value that this process writes into `holderIdentity`.
    pub identity: String,
}

/// Runs for leader or, without an election, leads permanently. Returns the task and its handle.
pub fn stand(election: Option<LeaderElection>) -> (LeaderElector, Leadership) {
    let first = match election {
        Some(_) => Term::NEVER,
        None => Term::ALWAYS,
    };
    let (term, tenure_seen) = watch::channel(first);
    let (ask, asked) = oneshot::channel();
    let (done, released) = oneshot::channel();
    let elector = LeaderElector {
        election,
        term,
        asked,
        _done: done,
    };
    let leadership = Leadership {
        term: tenure_seen,
        ask,
        released,
    };
    (elector, leadership)
}

/// The process's view of its leadership, and the way to give it up.
#[derive(Debug)]
pub struct Leadership {
    term: watch::Receiver<Term>,
    ask: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl Leadership {
    /// The current leadership. Check it with the time of the decision.
    pub fn term(&self) -> watch::Receiver<Term> {
        self.term.clone()
    }

    /// Gives up the Lease, so that another process can take it at once. Call it only when no
    /// attempt runs any more. If this handle is dropped instead, the Lease expires.
    pub async fn release(self) {
        if *self.term.borrow() == Term::ALWAYS {
            return;
        }
        tokio::time::sleep(QUIET).await;
        // The send fails only if the task has ended, and then the process is ending as well.
        let _ = self.ask.send(());
        if tokio::time::timeout(RELEASE_WITHIN, self.released)
            .await
            .is_err()
        {
            tracing::warn!("The Lease was not released in time: it expires by itself");
        }
    }
}

/// The task that runs for leader.
#[derive(Debug)]
pub struct LeaderElector {
    election: Option<LeaderElection>,
    term: watch::Sender<Term>,
    asked: oneshot::Receiver<()>,
    /// Dropped with the task: [`Leadership::release`] waits for that.
    _done: oneshot::Sender<()>,
}

impl LeaderElector {
    /// False without an election: this process then leads permanently.
    pub fn stands(&self) -> bool {
        self.election.is_some()
    }

    /// Runs until asked to release; without an election it never returns. While `draining` is true,
    /// it keeps the Lease but does not take it.
    pub async fn run(self, client: Client, draining: watch::Receiver<bool>) {
        let Some(config) = self.election else {
            return std::future::pending().await;
        };
        tracing::info!(
            namespace = config.namespace,
            identity = config.identity,
            lease = NAME,
            "Standing for election"
        );
        let mut lease_client = LeaseClient::new(client, config, &self.term, draining);
        lease_client.stand(self.asked).await;
    }
}

#[cfg(test)]
mod tests;
