//! The requests for the Lease: read it, write it on the condition of the version read, release it.
//! [`Election`] decides which.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};

use super::election::{Election, Record, Step, TAKEOVER_AFTER, Term};
use super::{LeaderElection, NAME};
use crate::clock;
use crate::cluster::{ClusterError, MANAGER, within, within_about};

const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between two reads of a standby: it takes over at most this much later than possible.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause after a failed request.
const RETRY: Duration = Duration::from_secs(1);
/// The log repeats the same failure after this time.
const REPEAT: Duration = Duration::from_secs(60);

/// The Lease requests of one candidate.
pub(super) struct LeaseClient<'a> {
    config: LeaderElection,
    api: Api<Lease>,
    election: Election,
    term: &'a watch::Sender<Term>,
    draining: watch::Receiver<bool>,
    /// The Lease as this process last stored it; `None`: read it before the next write.
    known: Option<Lease>,
    failure: Option<(ClusterError, clock::BootTime)>,
}

impl<'a> LeaseClient<'a> {
    pub(super) fn new(
        client: Client,
        config: LeaderElection,
        term: &'a watch::Sender<Term>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, &config.namespace),
            election: Election::new(config.identity.clone()),
            term,
            draining,
            known: None,
            failure: None,
            config,
        }
    }

    /// Renews or acquires the Lease until asked to release it.
    pub(super) async fn stand(&mut self, mut asked: oneshot::Receiver<()>) {
        loop {
            // Never cancel this: if a write is dropped half way, its result is unknown.
            let pause = match self.round().await {
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
                    // The process ends while attempts run: no other process may begin at once.
                    Err(_) => return,
                },
            }
        }
    }

    /// Reads the Lease unless it is known, and writes it if allowed. Returns the pause after that.
    async fn round(&mut self) -> Result<Duration, ClusterError> {
        let lease = self.read().await?;
        // Danger: read the clock after the reply. A clock read before it would count a slow reply
        // as time without a change, although the holder may have renewed meanwhile.
        let now = clock::boot();
        let step = self.election.observe(record(lease.as_ref()), now);
        let stored = match step {
            Step::Wait(until) => return Ok(LOOK_EVERY.min(until.saturating_sub(now))),
            Step::Create | Step::Acquire if *self.draining.borrow() => return Ok(LOOK_EVERY),
            Step::Create => self.write(&Lease::default(), true).await?,
            Step::Acquire => self.write(&lease.unwrap_or_default(), true).await?,
            Step::Renew => self.write(&lease.unwrap_or_default(), false).await?,
        };
        self.known = Some(stored);
        Ok(RENEW_EVERY)
    }

    async fn read(&mut self) -> Result<Option<Lease>, ClusterError> {
        match self.known.take() {
            Some(lease) => Ok(Some(lease)),
            None => match within_about(NAME, self.api.get(NAME)).await {
                Err(ClusterError::NotFound) => Ok(None),
                lease => lease.map(Some),
            },
        }
    }

    /// Writes the Lease with this process as its holder. Leadership counts from the start of the
    /// request.
    async fn write(&self, lease: &Lease, new_holder: bool) -> Result<Lease, ClusterError> {
        let started = clock::now();
        let lease = held(lease, &self.config.identity, new_holder, started.wall);
        let stored = self.send(&lease).await?;
        // Read the clock under the lock that callers also take: a caller that saw leadership lapse
        // then also sees the new term.
        self.term.send_modify(|term| {
            *term = term.renewed(started.boot, clock::boot());
        });
        Ok(stored)
    }

    /// Danger: without the resourceVersion that the decision is based on, two processes that saw
    /// the same expired Lease would both get it.
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

    /// Clears the holder, if this process is the holder.
    async fn release(&mut self) {
        // Before the request: this process must not act once another one can.
        self.term.send_modify(|term| *term = term.ended());
        loop {
            match self.try_release().await {
                Ok(()) => return,
                // The caller of the release limits the retries.
                Err(error) => {
                    self.failed(error);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_release(&mut self) -> Result<(), ClusterError> {
        let Some(lease) = self.read().await? else {
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

    /// Logs a failure once, then once a minute while it lasts.
    fn failed(&mut self, error: ClusterError) {
        let now = clock::boot();
        let said = self.failure.as_ref();
        if said.is_some_and(|(last, at)| *last == error && now < *at + REPEAT) {
            return;
        }
        let namespace = &self.config.namespace;
        match &error {
            ClusterError::Conflict => tracing::info!(%namespace, lease = NAME,
                "The Lease changed in the meantime: reading it again"),
            ClusterError::NotFound | ClusterError::Forbidden => tracing::error!(%namespace,
                lease = NAME, status = error.status(), "The Lease cannot be had, so nothing is \
                sent: check --lease-namespace and that the operator's Role there allows get, \
                create and update of leases"),
            ClusterError::Invalid
            | ClusterError::Altered
            | ClusterError::Unauthorized
            | ClusterError::Failed(_)
            | ClusterError::Unavailable(_) => tracing::warn!(%namespace,
                lease = NAME, %error, "The Lease could not be read or written, trying again"),
        }
        self.failure = Some((error, now));
    }
}

/// The part of a Lease that the election may see: none of its times.
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

/// `lease` with this holder. Its times are for people; every other field stays.
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
