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

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{oneshot, watch};

use crate::clock;
use crate::cluster::{ClusterError, MANAGER};
use crate::config::LeaderElection;
use crate::context::Context;

pub mod election;

pub use election::Tenure;
use election::{Election, Record, Step, TAKEOVER_AFTER};

/// Name of the Lease, and of the metric's label.
pub const NAME: &str = "phone-migration-operator";

/// Deadline of each request; three fit before a leader's time is up.
const REQUEST: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between two looks of a standby: this much later than possible it takes over.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failed request.
const RETRY: Duration = Duration::from_secs(1);
/// The same failure is said again after this time.
const REPEAT: Duration = Duration::from_secs(60);
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
        let mut ballot = Ballot {
            api: Api::namespaced(ctx.cluster.client().clone(), &config.namespace),
            election: Election::new(config.identity.clone()),
            tenure: &self.tenure,
            known: None,
            failure: None,
            config,
        };
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

/// The requests of one candidate.
struct Ballot<'a> {
    config: LeaderElection,
    api: Api<Lease>,
    election: Election,
    tenure: &'a watch::Sender<Tenure>,
    /// The Lease as this process stored it last; `None`: look before the next write.
    known: Option<Lease>,
    failure: Option<(ClusterError, clock::BootTime)>,
}

impl Ballot<'_> {
    /// Until asked to release.
    async fn stand(&mut self, ctx: &Context, mut asked: oneshot::Receiver<()>) {
        loop {
            // Never cut short: of a write that is dropped half way nothing is known.
            let pause = match self.round(ctx).await {
                Ok(pause) => {
                    self.failure = None;
                    pause
                }
                Err(error) => {
                    self.known = None;
                    self.failed(error);
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                asked = &mut asked => match asked {
                    Ok(()) => return self.release().await,
                    // The process ends while attempts run: nobody may begin at once.
                    Err(_) => return,
                },
            }
        }
    }

    /// Looks, unless the Lease is known, and writes if it may. How long to wait then.
    async fn round(&mut self, ctx: &Context) -> Result<Duration, ClusterError> {
        let lease = self.look().await?;
        // Danger: read after the reply. A clock read before it would count the time of a slow
        // reply, in which the holder may have renewed, as time without a change.
        let now = clock::boot();
        let step = self.election.observe(record(lease.as_ref()), now);
        let stored = match step {
            Step::Wait(until) => return Ok(LOOK_EVERY.min(until.saturating_sub(now))),
            Step::Create | Step::Acquire if ctx.activity.is_draining() => return Ok(LOOK_EVERY),
            Step::Create => self.write(&Lease::default(), true).await?,
            Step::Acquire => self.write(&lease.unwrap_or_default(), true).await?,
            Step::Renew => self.write(&lease.unwrap_or_default(), false).await?,
        };
        self.known = Some(stored);
        Ok(RENEW_EVERY)
    }

    async fn look(&mut self) -> Result<Option<Lease>, ClusterError> {
        match self.known.take() {
            Some(lease) => Ok(Some(lease)),
            None => within(self.api.get_opt(NAME)).await,
        }
    }

    /// Writes the Lease with this process as its holder, and leads from the beginning of the
    /// request.
    async fn write(&self, lease: &Lease, new_holder: bool) -> Result<Lease, ClusterError> {
        let started = clock::now();
        let lease = held(lease, &self.config.identity, new_holder, started.wall);
        let stored = self.send(&lease).await?;
        // The clock is read under the lock under which others ask it: whoever saw the lapse
        // also sees the new term.
        self.tenure.send_modify(|tenure| {
            *tenure = tenure.renewed(started.boot, clock::boot());
        });
        Ok(stored)
    }

    /// Danger: without the resourceVersion of what was decided on, two processes that saw the
    /// same expired Lease would both get it.
    async fn send(&self, lease: &Lease) -> Result<Lease, ClusterError> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        if lease.metadata.resource_version.is_none() {
            within(self.api.create(&params, lease)).await
        } else {
            within(self.api.replace(NAME, &params, lease)).await
        }
    }

    /// Empties the holder, if this process is it.
    async fn release(&mut self) {
        // Before the request: nobody here may act once somebody else can.
        self.tenure.send_modify(|tenure| *tenure = tenure.ended());
        loop {
            match self.try_release().await {
                Ok(()) => return,
                // Bounded by whoever asked.
                Err(error) => {
                    self.failed(error);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_release(&mut self) -> Result<(), ClusterError> {
        let Some(lease) = self.look().await? else {
            return Ok(());
        };
        match self.election.observe(record(Some(&lease)), clock::boot()) {
            Step::Renew => {
                self.send(&held(&lease, "", true, clock::now().wall))
                    .await?;
                tracing::info!(lease = NAME, "Lease released");
                Ok(())
            }
            Step::Create | Step::Acquire | Step::Wait(_) => Ok(()),
        }
    }

    /// Says it once, and once a minute while it lasts.
    fn failed(&mut self, error: ClusterError) {
        let now = clock::boot();
        let said = self.failure.as_ref();
        if said.is_some_and(|(last, at)| *last == error && now < *at + REPEAT) {
            return;
        }
        let namespace = &self.config.namespace;
        match &error {
            ClusterError::Conflict => tracing::info!(%namespace, lease = NAME,
                "The Lease changed in the meantime: looking again"),
            ClusterError::NotFound | ClusterError::Forbidden => tracing::error!(%namespace,
                lease = NAME, status = error.status(), "The Lease cannot be had, so nothing is \
                sent: check --lease-namespace and that the operator's Role there allows get, \
                create and update of leases"),
            ClusterError::Invalid | ClusterError::Unavailable(_) => tracing::warn!(%namespace,
                lease = NAME, %error, "The Lease could not be read or written, trying again"),
        }
        self.failure = Some((error, now));
    }
}

async fn within<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(REQUEST, request).await {
        Ok(result) => result.map_err(ClusterError::from),
        Err(_) => Err(ClusterError::Unavailable("no answer within 5 s".into())),
    }
}

/// What the election may know of a Lease: none of its times.
fn record(lease: Option<&Lease>) -> Record<'_> {
    let Some(lease) = lease else {
        return Record::Absent;
    };
    let holder = lease
        .spec
        .as_ref()
        .and_then(|s| s.holder_identity.as_deref());
    Record::Present {
        version: lease
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default(),
        holder: holder.unwrap_or_default(),
    }
}

/// `lease`, held by `holder`; its times are for people. Everything else in it is kept.
fn held(lease: &Lease, holder: &str, new_holder: bool, now: jiff::Timestamp) -> Lease {
    let mut lease = lease.clone();
    lease.metadata.name = Some(NAME.to_owned());
    let old = lease.spec.take().unwrap_or_default();
    let transitions = old.lease_transitions.unwrap_or(0);
    let (acquire_time, transitions) = if new_holder {
        (Some(MicroTime(now)), transitions.saturating_add(1))
    } else {
        (old.acquire_time.clone(), transitions)
    };
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: i32::try_from(TAKEOVER_AFTER.as_secs()).ok(),
        acquire_time,
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..old
    });
    lease
}

#[cfg(test)]
mod tests;
