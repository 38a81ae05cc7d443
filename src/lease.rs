//! Leader election by a Lease: one process at a time begins attempts.
//!
//! Written here since the crates for it keep saying leader while renewals fail, or take over
//! without a precondition. Every write is a `replace` with a resourceVersion; when to write is
//! decided in [`election`] (pure). [`Tenure::is_leader`] is asked with the clock at each use, so
//! leadership ends by itself however stuck this task is.
//!
//! Limits: two processes with one identity both lead, so identities must be unique; the Lease
//! only reduces the overlap of leaders, the claim in a resource's status is the fence. Nothing
//! here ends a running attempt or a watch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::clock;
use crate::config::LeaderElection;
use crate::context::Context;

mod ballot;
pub mod election;

use ballot::Ballot;
pub use election::Tenure;

/// Name of the Lease, and of the metric's label.
pub const NAME: &str = "phone-migration-operator";

/// Between the end of the last call and the release, so that the calls of two leaders are never
/// in one second of the quota.
const QUIET: Duration = Duration::from_secs(1);
/// For the whole release; it must fit into the manifests' grace period.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// Stands for election or, without one, is the leader for good. Returns the task and its handle.
pub fn stand(election: Option<LeaderElection>) -> (Candidate, Leadership) {
    let first = match election {
        Some(_) => Tenure::NEVER,
        None => Tenure::ALWAYS,
    };
    let (tenure, tenure_seen) = watch::channel(first);
    let (leads, leads_seen) = watch::channel(election.is_none());
    let (ask, asked) = oneshot::channel();
    let (done, released) = oneshot::channel();
    let candidate = Candidate {
        election,
        tenure,
        leads,
        asked,
        _done: done,
    };
    let leadership = Leadership {
        tenure: tenure_seen,
        leads: leads_seen,
        ask,
        released,
    };
    (candidate, leadership)
}

/// What the process knows of its leadership, and the way to give it up.
#[derive(Debug)]
pub struct Leadership {
    tenure: watch::Receiver<Tenure>,
    leads: watch::Receiver<bool>,
    ask: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl Leadership {
    /// For decisions: to be asked with the time of the decision.
    pub fn tenure(&self) -> watch::Receiver<Tenure> {
        self.tenure.clone()
    }

    /// For those who wait: set to true when a term begins, to false when it ends.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Gives the Lease up, so that another process can take it at once. Call it when no attempt
    /// runs any more, and only then: dropped without, the Lease expires by itself.
    pub async fn release(self) {
        if *self.tenure.borrow() == Tenure::ALWAYS {
            return;
        }
        tokio::time::sleep(QUIET).await;
        // The task is gone only if the process ends for that reason.
        let _ = self.ask.send(());
        if tokio::time::timeout(RELEASE_WITHIN, self.released)
            .await
            .is_err()
        {
            tracing::warn!("The Lease was not released in time: it expires by itself");
        }
    }
}

/// The task that stands for election.
#[derive(Debug)]
pub struct Candidate {
    election: Option<LeaderElection>,
    tenure: watch::Sender<Tenure>,
    leads: watch::Sender<bool>,
    asked: oneshot::Receiver<()>,
    /// Dropped with the task: that is how [`Leadership::release`] learns of its end.
    _done: oneshot::Sender<()>,
}

impl Candidate {
    /// Runs until asked to release; for ever without an election.
    pub async fn run(self, ctx: Arc<Context>) {
        let Some(config) = self.election.clone() else {
            return std::future::pending().await;
        };
        ctx.quota.set_active(false);
        ctx.metrics.set_leader(NAME, false);
        tracing::info!(
            namespace = config.namespace,
            identity = config.identity,
            lease = NAME,
            "Standing for election"
        );
        let terms = follow(&ctx, self.tenure.subscribe(), &self.leads);
        let mut ballot = Ballot::new(&ctx, config, &self.tenure);
        tokio::select! {
            () = terms => {}
            () = ballot.stand(&ctx, self.asked) => {}
        }
    }
}

/// Has the rest of the process follow the tenure, by the clock.
async fn follow(ctx: &Context, mut tenure: watch::Receiver<Tenure>, leads: &watch::Sender<bool>) {
    let mut leading = None;
    loop {
        let seen = *tenure.borrow_and_update();
        let now = clock::boot();
        let term = seen.is_leader(now).then_some(seen.term);
        if term != leading {
            leading = term;
            ctx.metrics.set_leader(NAME, term.is_some());
            if term.is_some() {
                tracing::info!(lease = NAME, "Leading: attempts may begin");
                // Before the first turn: the last leader may just have sent.
                ctx.quota.new_leader();
                ctx.quota.set_active(!ctx.activity.is_draining());
            } else {
                tracing::warn!(
                    lease = NAME,
                    "Not leading any more: no attempt begins, running ones come to their end"
                );
                ctx.quota.set_active(false);
            }
            // Also when it was true: a lapse so short that nobody saw it hid visits.
            leads.send_replace(term.is_some());
        }
        let lapse = async {
            match term {
                Some(_) => tokio::time::sleep(seen.until.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lapse => {}
            changed = tenure.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests;
