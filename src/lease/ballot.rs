//! The requests for the Lease: look, write on the condition of what was seen, release. What to
//! do is decided by [`Election`].

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{oneshot, watch};

use super::NAME;
use super::election::{Election, Record, Step, TAKEOVER_AFTER, Tenure};
use crate::clock;
use crate::cluster::{ClusterError, MANAGER};
use crate::config::LeaderElection;
use crate::context::Context;

/// Deadline of each request, so that a leader tries again before its time is up.
const REQUEST: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between two looks of a standby: this much later than possible it takes over.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failed request.
const RETRY: Duration = Duration::from_secs(1);
/// The same failure is said again after this time.
const REPEAT: Duration = Duration::from_secs(60);

/// The requests of one candidate.
pub(super) struct Ballot<'a> {
    config: LeaderElection,
    api: Api<Lease>,
    election: Election,
    tenure: &'a watch::Sender<Tenure>,
    /// The Lease as this process stored it last; `None`: look before the next write.
    known: Option<Lease>,
    failure: Option<(ClusterError, clock::BootTime)>,
}

impl<'a> Ballot<'a> {
    pub(super) fn new(
        ctx: &Context,
        config: LeaderElection,
        tenure: &'a watch::Sender<Tenure>,
    ) -> Self {
        Self {
            api: Api::namespaced(ctx.cluster.client().clone(), &config.namespace),
            election: Election::new(config.identity.clone()),
            tenure,
            known: None,
            failure: None,
            config,
        }
    }

    /// Until asked to release.
    pub(super) async fn stand(&mut self, ctx: &Context, mut asked: oneshot::Receiver<()>) {
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
            ClusterError::Invalid
            | ClusterError::Unauthorized
            | ClusterError::Failed(_)
            | ClusterError::Unavailable(_) => tracing::warn!(%namespace,
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
pub(super) fn record(lease: Option<&Lease>) -> Record<'_> {
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
pub(super) fn held(lease: &Lease, holder: &str, new_holder: bool, now: jiff::Timestamp) -> Lease {
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
