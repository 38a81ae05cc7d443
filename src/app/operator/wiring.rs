//! Makes the parts that the tasks of the process share, and starts these tasks.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::{KeyRenewer, credentials, gauges, guard, leader, triggers, turns, views};
use crate::api::object_key::ObjectKey;
use crate::app::config::Config;
use crate::cams::Cams;
use crate::cluster::Cluster;
use crate::cluster::event_queue::EventQueue;
use crate::cluster::lease::{self, Leadership, Term};
use crate::cluster::ledgers::LedgerStore;
use crate::domain::code::FingerprintKey;
use crate::operator::attempt::{ledger_hold, observe, sweep};
use crate::operator::controller::{self, Wiring};
use crate::operator::state::context::{Activity, Context, Tasks};
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
use crate::quota::{Quota, Settings};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::server::Health;

/// The parts that exist before any task does.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) cluster: Cluster,
    pub(super) cams: Cams,
    pub(super) fingerprint_key: FingerprintKey,
    pub(super) metrics: Arc<Metrics>,
}

/// The running core of the process.
pub(super) struct Running {
    pub(super) ctx: Arc<Context>,
    /// If one of these ends, the process stops.
    pub(super) core: JoinSet<()>,
    pub(super) leadership: Leadership,
    /// Ends the watches.
    pub(super) stop: watch::Sender<bool>,
}

/// Starts the core tasks.
pub(super) fn start(parts: Parts, renewer: Option<KeyRenewer>, health: &Arc<Health>) -> Running {
    let (wake, woken) = mpsc::unbounded_channel::<ObjectKey>();
    let qps = parts.config.qps.map_or(0, std::num::NonZeroU32::get);
    let (quota, dispatcher) = Quota::new(Settings { qps }, wake);
    let (elector, leadership) = lease::stand(parts.config.leader_election.clone());
    let (triggers, triggered) = triggers(&parts.config.watch_namespaces);
    let (events, publishing) = EventQueue::new(parts.cluster.clone());
    let concurrency = parts.config.max_concurrent_reconciles;
    let workers = usize::from(concurrency) * triggered.len();
    parts.metrics.reconcile.set_most(workers);
    let ctx = context(parts, events, quota, triggers, leadership.term());

    let mut core = JoinSet::new();
    let mut spawn = |name, task: futures::future::BoxFuture<'static, ()>| {
        core.spawn(guard(health, name, task));
    };
    spawn("dispatcher", Box::pin(dispatcher));
    spawn("turns", Box::pin(turns(Arc::clone(&ctx), woken)));
    let polls = controller::polls::run(Arc::clone(&ctx));
    spawn("polls", Box::pin(polls));
    spawn("gauges", Box::pin(gauges::run(Arc::clone(&ctx))));
    let (cams, quota) = (ctx.cams.clone(), ctx.quota.clone());
    let credentials = credentials::run(cams, quota, renewer, Arc::clone(&ctx.metrics));
    spawn("credentials", Box::pin(credentials));
    spawn("events", Box::pin(publishing));
    let (leads, leads_seen) = watch::channel(!elector.stands());
    let leading = leader::run(Arc::clone(&ctx), elector, leadership.term(), leads);
    spawn("lease", Box::pin(leading));
    spawn("observer", Box::pin(observe::run(Arc::clone(&ctx))));
    let hold = ledger_hold::run(Arc::clone(&ctx));
    spawn("ledger hold", Box::pin(hold));
    let views = views::run(Arc::clone(&ctx), Arc::clone(health));
    spawn("views", Box::pin(views));
    let (stop, stopped) = watch::channel(false);
    for (namespace, triggered) in triggered {
        let wiring = Wiring {
            concurrency,
            leads: leads_seen.clone(),
            stop: stopped.clone(),
            triggered,
            namespace,
        };
        spawn(
            "controller",
            Box::pin(controller::run(Arc::clone(&ctx), wiring)),
        );
    }
    let sweeping = sweep::run(Arc::clone(&ctx), leads_seen);
    spawn("sweep", Box::pin(sweeping));
    Running {
        ctx,
        core,
        leadership,
        stop,
    }
}

/// The context that all tasks share.
fn context(
    parts: Parts,
    events: EventQueue,
    quota: Quota,
    triggers: Triggers,
    term: watch::Receiver<Term>,
) -> Arc<Context> {
    let config = parts.config;
    let client = parts.cluster.client().clone();
    Arc::new(Context {
        ledgers: LedgerStore::new(client, config.ledger_namespace),
        cluster: parts.cluster,
        events,
        cams: parts.cams,
        quota,
        index: LedgerIndex::default(),
        sent: SentEntries::default(),
        abandoned: Abandoned::default(),
        dry_runs: DryRuns::default(),
        ledger_back_offs: LedgerBackOffs::default(),
        observations: Observations::default(),
        numbers: Numbers::default(),
        revisions: Revisions::default(),
        views: Views::new(triggers.namespaces()),
        memory: ReconcileMemory::default(),
        tasks: Arc::new(Tasks::default()),
        fingerprint_key: parts.fingerprint_key,
        code_digits: config.code_digits,
        metrics: parts.metrics,
        validity: config.signature_validity,
        activity: Activity::new(term),
        triggers,
        planned: Notify::default(),
        secret_names: config.watch_secrets.then(SecretNames::default),
    })
}
