//! Wiring and shutdown: the order in which the parts of the process start and end.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use crate::api::object_key::ObjectKey;
use crate::api::reason::Reason;
use crate::app::config::{Config, load_fingerprint_key};
use crate::cams::credentials::Session;
use crate::cams::sts::{Identity, Login, MetadataClient, Sources, StsClient};
use crate::cams::{
    Cams, CamsConfig, ClientOptions, CredentialSource, Destination, Endpoint, KeySource,
};
use crate::cluster::Cluster;
use crate::cluster::lease::Leadership;
use crate::domain::code::FingerprintKey;
use crate::operator::state::context::{ACCOUNT, Context};
use crate::operator::state::triggers::{Triggered, Triggers};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::server::{Health, Server};

mod crds;
mod credentials;
mod gauges;
mod kubeconfig;
mod leader;
mod sign_in;
mod views;
mod wiring;

use wiring::{Parts, Running};

pub(crate) use sign_in::KeyRenewer;

/// Longest time for running attempts after SIGTERM; below the manifests' grace period.
const DRAIN: Duration = Duration::from_secs(40);
/// Longest time for pending Events after the last attempt.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Why the process cannot run, as one line for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(String);

fn fatal(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Fatal + '_ {
    move |why| Fatal(format!("{what}: {why}"))
}

/// Runs the operator until SIGTERM or SIGINT, or until a core task ends.
///
/// # Errors
/// One line with the fault and, where known, the remedy.
pub async fn run(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new()?;
    let (cams, mut renewer) = account(&config)?;
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let metrics = Arc::new(Metrics::new(ACCOUNT, reasons));
    metrics
        .account
        .set_limit(config.qps.map(std::num::NonZeroU32::get));
    let fingerprint_key = load_fingerprint_key(&config.fingerprint_key_file, FingerprintKey::new)
        .map_err(|e| Fatal(e.to_string()))?;
    let health = Health::new();
    let server = Server::bind(config.listen)
        .await
        .map_err(|e| Fatal(e.to_string()))?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "Started");
    let (serve_until, stop_serving) = watch::channel(false);
    let until = signalled(stop_serving);
    let serving = tokio::spawn(server.run(Arc::clone(&health), Arc::clone(&metrics), until));

    tracing::info!(credentials = %config.sign_in, "Credentials chosen");
    if let Some(renewer) = &mut renewer {
        tokio::select! {
            () = renewer.renew(false, &metrics.sign_in) => {}
            () = signals.first() => return Ok(()),
        }
    }
    let cluster = connect(&config, &metrics).await?;
    tokio::select! {
        installed = crds::wait(&cluster, &health) => installed?,
        () = signals.first() => return Ok(()),
    }
    let parts = Parts {
        config,
        cluster,
        cams,
        fingerprint_key,
        metrics,
    };
    let Running {
        ctx,
        mut core,
        leadership,
        stop,
    } = wiring::start(parts, renewer, &health);
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

/// Waits until the switch is on; a dropped sender counts as on.
async fn signalled(mut switch: watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}

/// Triggers a reconcile for every resource that was granted a turn or whose turn expired unused.
/// The reconcile takes the turn or asks for another one.
async fn turns(ctx: Arc<Context>, mut woken: mpsc::UnboundedReceiver<ObjectKey>) {
    while let Some(key) = woken.recv().await {
        ctx.trigger(&key);
    }
}

/// Begins nothing new, waits until running attempts are recorded, then releases the Lease and ends
/// the watches.
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
            // Events that were not sent in this time are dropped.
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

/// Wraps a core task in a guard that reports its end to the health state.
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

/// The client of the account, and the renewer that renews its key if the key is temporary. Calls
/// nothing yet.
pub(crate) fn account(config: &Config) -> Result<(Cams, Option<KeyRenewer>), Fatal> {
    let endpoint = &config.cams_endpoint;
    let endpoint = Endpoint::parse(Destination::Cams, endpoint, config.allow_insecure_endpoint)
        .map_err(|e| fatal("--cams-endpoint")(&e))?;
    let (credentials, renewer) = match config.sign_in.is_exchange() {
        false => (KeySource::Read(access_key(&config.sign_in.identity)), None),
        true => {
            let sources = Sources {
                key: || access_key(&config.sign_in.identity),
                metadata: || metadata(config),
            };
            let login = Login::new(&config.sign_in, sources, sts(config)?)?;
            let session = Arc::new(Session::default());
            let renewer = KeyRenewer::new(login, Arc::clone(&session));
            (KeySource::Session(session), Some(renewer))
        }
    };
    let cams = Cams::new(CamsConfig {
        endpoint,
        signature: config.signature,
        credentials,
        options: ClientOptions::default(),
    })
    .map_err(|e| Fatal(e.to_string()))?;
    Ok((cams, renewer))
}

/// The client of STS. Calls nothing yet.
pub(crate) fn sts(config: &Config) -> Result<StsClient, Fatal> {
    let endpoint = &config.sts_endpoint;
    let endpoint = Endpoint::parse(Destination::Sts, endpoint, config.allow_insecure_endpoint)
        .map_err(|e| fatal("--sts-endpoint")(&e))?;
    StsClient::new(endpoint, ClientOptions::default()).map_err(|e| fatal("no STS client")(&e))
}

/// The client of the instance's metadata service. Calls nothing yet.
fn metadata(config: &Config) -> Result<MetadataClient, Fatal> {
    let endpoint = match &config.metadata_endpoint {
        None => Endpoint::metadata(),
        Some(url) => Endpoint::parse(Destination::Metadata, url, config.allow_insecure_endpoint)
            .map_err(|e| fatal("--metadata-endpoint")(&e))?,
    };
    MetadataClient::new(endpoint).map_err(|e| fatal("no client of the metadata service")(&e))
}

/// The AccessKey of an identity; for an identity without one, the environment's.
fn access_key(identity: &Identity) -> CredentialSource {
    match identity {
        Identity::Files(directory) => CredentialSource::Directory(directory.clone()),
        Identity::Environment | Identity::Oidc(_) | Identity::Ecs { .. } => {
            CredentialSource::environment(|name| std::env::var(name).ok())
        }
    }
}

/// The client of the API server. Sends no request yet.
pub(crate) async fn connect(config: &Config, metrics: &Arc<Metrics>) -> Result<Cluster, Fatal> {
    let kubernetes = if config.in_cluster {
        kube::Config::incluster().map_err(|e| fatal("in-cluster configuration")(&e))?
    } else {
        kubeconfig::load().await?
    };
    Cluster::connect(kubernetes, Arc::clone(metrics), instance())
        .map_err(|e| fatal("Kubernetes client")(&kubeconfig::client_fault(&e)))
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

/// The triggers of each controller, with the namespace that it watches.
fn triggers(namespaces: &[String]) -> (Triggers, Vec<(Option<String>, Triggered)>) {
    let wanted: Vec<Option<String>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let mut triggers = Triggers::default();
    let lines = wanted.into_iter().map(|namespace| {
        let triggered = triggers.add(namespace.as_deref());
        (namespace, triggered)
    });
    let lines = lines.collect();
    (triggers, lines)
}
