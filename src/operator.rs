//! Wiring and shutdown: the order in which things start and end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::config::KubeConfigOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use crate::cams::{Cams, CamsConfig, ClientOptions, CredentialSource, Endpoint};
use crate::clock;
use crate::cluster::{Cluster, Key};
use crate::code::FingerprintKey;
use crate::config::{Config, load_fingerprint_key};
use crate::context::{ACCOUNT, Activity, Context, NeverSent, Tasks};
use crate::controller::{self, Wiring};
use crate::event_queue::EventQueue;
use crate::lease::{self, Leadership};
use crate::metrics::Metrics;
use crate::quota::{self, Quota, Settings};
use crate::reason::Reason;
use crate::server::{Health, Server};
use crate::siblings::Siblings;
use crate::spent::SpentCodes;
use crate::visits::Visits;

mod gauges;

/// Longest time that running attempts get after SIGTERM; below the manifests' grace period.
const DRAIN: Duration = Duration::from_secs(40);
/// Longest time that Events get after the last attempt.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Why the process cannot run; one line for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(String);

fn fatal(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Fatal + '_ {
    move |why| Fatal(format!("{what}: {why}"))
}

/// Runs the operator until SIGTERM or SIGINT, or until a core task ends.
///
/// # Errors
/// One line: what is wrong and, where it is known, what to do.
pub async fn run(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new()?;
    let cams = cams(&config)?;
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let metrics = Arc::new(Metrics::new(ACCOUNT, reasons));
    metrics
        .account
        .set_limit(config.qps.map(std::num::NonZeroU32::get));
    let fingerprint_key = fingerprint_key(&config, &metrics)?;
    let health = Health::new();
    let server = Server::bind(config.listen)
        .await
        .map_err(|e| Fatal(e.to_string()))?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "Started");
    let (serve_until, stop_serving) = watch::channel(false);
    let until = told(stop_serving);
    let serving = tokio::spawn(server.run(Arc::clone(&health), Arc::clone(&metrics), until));

    let cluster = connect(&config, &metrics).await?;
    let (wake, woken) = mpsc::unbounded_channel::<quota::ObjectKey>();
    let qps = config.qps.map_or(0, std::num::NonZeroU32::get);
    let (quota, dispatcher) = Quota::new(Settings { qps }, wake);
    let (candidate, leadership) = lease::stand(config.leader_election.clone());
    let (triggers, receivers) = channels(&config.watch_namespaces);
    let (events, publishing) = EventQueue::new(cluster.clone());
    let workers = usize::from(config.max_concurrent_reconciles) * receivers.len();
    metrics.reconcile.set_most(workers);
    let ctx = Arc::new(Context {
        cluster,
        events,
        cams,
        quota,
        siblings: Siblings::default(),
        spent: SpentCodes::default(),
        visits: Visits::default(),
        tasks: Arc::new(Tasks::default()),
        fingerprint_key,
        metrics,
        validity: config.signature_validity,
        never_sent: NeverSent::default(),
        activity: Activity::new(leadership.tenure()),
        triggers,
    });

    let mut core = tokio::task::JoinSet::new();
    core.spawn(guard(&health, "dispatcher", dispatcher));
    core.spawn(guard(&health, "turns", turns(Arc::clone(&ctx), woken)));
    core.spawn(guard(&health, "gauges", gauges::run(Arc::clone(&ctx))));
    core.spawn(guard(&health, "events", publishing));
    core.spawn(guard(&health, "lease", candidate.run(Arc::clone(&ctx))));
    let (stop, stopped) = watch::channel(false);
    for (namespace, triggers) in receivers {
        let wiring = Wiring {
            concurrency: config.max_concurrent_reconciles,
            watch_secrets: config.watch_secrets,
            leads: leadership.leads(),
            stop: stopped.clone(),
            listed: listed(&health, namespace.as_deref()),
            triggers,
            namespace,
        };
        let watching = watch_resources(Arc::clone(&ctx), wiring);
        core.spawn(guard(&health, "controller", watching));
    }
    health.started();

    let ended = tokio::select! {
        () = signals.first() => Ok(()),
        ended = core.join_next() => Err(by_itself(ended)),
    };
    health.stopping();
    shut_down(&ctx, leadership, &stop, &mut core, &mut signals).await;
    let _ = serve_until.send(true);
    let _ = tokio::time::timeout(Duration::from_secs(3), serving).await;
    ended
}

fn by_itself(ended: Option<Result<(), JoinError>>) -> Fatal {
    let how = match ended {
        Some(Err(error)) if error.is_panic() => "it panicked",
        Some(_) | None => "unexpectedly",
    };
    Fatal(format!(
        "A core task ended by itself ({how}); the process stops so that it is started anew"
    ))
}

/// Waits until a switch is on; that nobody can turn it on any more counts as on.
async fn told(mut switch: watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}

/// Has each resource visited whose turn has come, or went because nobody came for it in time: the
/// visit takes it, or asks for another one.
async fn turns(ctx: Arc<Context>, mut woken: mpsc::UnboundedReceiver<quota::ObjectKey>) {
    while let Some(quota::ObjectKey { namespace, name }) = woken.recv().await {
        ctx.trigger(&Key { namespace, name });
    }
}

async fn watch_resources(ctx: Arc<Context>, wiring: Wiring) {
    controller::wait_for_crd(&ctx, wiring.namespace.as_deref()).await;
    controller::run(ctx, wiring).await;
}

/// Nothing new begins; what runs is recorded; then the Lease is released and the watches end.
async fn shut_down(
    ctx: &Context,
    leadership: Leadership,
    stop: &watch::Sender<bool>,
    core: &mut tokio::task::JoinSet<()>,
    signals: &mut Signals,
) {
    ctx.activity.drain();
    ctx.quota.set_active(false);
    tracing::info!(
        running = ctx.tasks.count(),
        "Stopping: running attempts come to their end"
    );
    tokio::select! {
        () = ctx.tasks.drained() => {
            tracing::info!("Stopped: nothing runs");
            let told = tokio::time::timeout(LAST_EVENTS, ctx.events.drained());
            // Those that did not get through are not worth more time.
            let (_, ()) = tokio::join!(told, leadership.release());
        }
        () = tokio::time::sleep(DRAIN) => tracing::error!(running = ctx.tasks.count(),
            "Stopped although attempts run: they are observed after the next start"),
        () = signals.first() => tracing::error!(running = ctx.tasks.count(),
            "Stopped at once by a second signal: open attempts are observed after the next start"),
    }
    let _ = stop.send(true);
    core.abort_all();
}

/// The task, with a guard that says so when it ends.
fn guard(
    health: &Arc<Health>,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let alive = health.task(name);
    async move {
        let _alive = alive;
        task.await;
    }
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fatal> {
        let listen = |kind| signal(kind).map_err(|e| fatal("signals cannot be received")(&e));
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
        })
    }

    async fn first(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Nothing is called yet.
pub(crate) fn cams(config: &Config) -> Result<Cams, Fatal> {
    let endpoint = Endpoint::parse(&config.cams_endpoint, config.allow_insecure_endpoint)
        .map_err(|e| fatal("--cams-endpoint")(&e))?;
    let credentials = match &config.credentials_dir {
        Some(directory) => CredentialSource::Directory(directory.clone()),
        None => CredentialSource::environment(|name| std::env::var(name).ok()),
    };
    Cams::new(CamsConfig {
        endpoint,
        signature: config.signature,
        credentials,
        options: ClientOptions::default(),
    })
    .map_err(|e| Fatal(e.to_string()))
}

fn fingerprint_key(config: &Config, metrics: &Metrics) -> Result<FingerprintKey, Fatal> {
    let loaded = match &config.fingerprint_key_file {
        Some(path) => {
            load_fingerprint_key(path, FingerprintKey::new).map_err(|e| Fatal(e.to_string()))?
        }
        None => None,
    };
    metrics
        .resources
        .set_fingerprint_key_ephemeral(loaded.is_none());
    if let Some(key) = loaded {
        return Ok(key);
    }
    tracing::warn!(
        "No fingerprint key: after a restart it cannot be told whether a code in a Secret that \
         changed was spent before. Give one with --fingerprint-key-file"
    );
    let bytes = clock::random::<32>().map_err(|e| fatal("no random bytes")(&e))?;
    Ok(FingerprintKey::new(bytes))
}

/// Nothing is requested yet.
pub(crate) async fn connect(config: &Config, metrics: &Arc<Metrics>) -> Result<Cluster, Fatal> {
    let kubernetes = if config.in_cluster {
        kube::Config::incluster().map_err(|e| fatal("in-cluster configuration")(&e))?
    } else {
        kube::Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .map_err(|e| fatal("kubeconfig (see KUBECONFIG)")(&e))?
    };
    Cluster::connect(kubernetes, Arc::clone(metrics), instance())
        .map_err(|e| fatal("Kubernetes client")(&e))
}

fn instance() -> String {
    std::env::var("POD_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| {
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned()
        })
}

type Receivers = Vec<(Option<String>, mpsc::UnboundedReceiver<Key>)>;

fn channels(namespaces: &[String]) -> (HashMap<String, mpsc::UnboundedSender<Key>>, Receivers) {
    let wanted: Vec<Option<String>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let mut senders = HashMap::new();
    let mut receivers = Vec::new();
    for namespace in wanted {
        let (sender, receiver) = mpsc::unbounded_channel();
        senders.insert(namespace.clone().unwrap_or_default(), sender);
        receivers.push((namespace, receiver));
    }
    (senders, receivers)
}

/// Not ready until the first list of each namespace is complete.
fn listed(health: &Arc<Health>, namespace: Option<&str>) -> watch::Sender<bool> {
    let (sender, mut receiver) = watch::channel(false);
    let part = namespace.map_or_else(|| "list".to_owned(), |name| format!("list of {name}"));
    let place = namespace.map_or_else(String::new, |name| format!(" of namespace {name}"));
    health.not_ready(
        part.clone(),
        format!("PhoneMigrations{place} are not listed yet"),
    );
    let health = Arc::clone(health);
    tokio::spawn(async move {
        if receiver.wait_for(|listed| *listed).await.is_ok() {
            health.ready(&part);
        }
    });
    sender
}
