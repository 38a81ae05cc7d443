//! The watches, and what triggers a visit.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher;
use kube::{Api, Resource};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

mod listing;

use self::listing::Listing;
use crate::clock;
use crate::cluster::{Key, Watched};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::reconcile::reconcile;

/// What one controller needs besides the context.
pub struct Wiring {
    /// The namespace it watches; `None` for all.
    pub namespace: Option<String>,
    /// Resources to visit.
    pub triggers: UnboundedReceiver<Key>,
    /// Reconciles at a time.
    pub concurrency: u16,
    /// Wake on changes of Secrets; needs list and watch on them.
    pub watch_secrets: bool,
    /// Becomes true when this process leads: everything is visited then.
    pub leads: watch::Receiver<bool>,
    /// Becomes true when the process is to stop.
    pub stop: watch::Receiver<bool>,
    /// Becomes true when the first list is complete.
    pub listed: watch::Sender<bool>,
}

/// Watches and visits until told to stop. Running attempts are tasks of their own: they do not
/// end with this.
pub async fn run(ctx: Arc<Context>, wiring: Wiring) {
    let Wiring {
        namespace,
        triggers,
        concurrency,
        watch_secrets,
        leads,
        mut stop,
        listed,
    } = wiring;
    let api = ctx.cluster.watched(namespace.as_deref());
    let (reader, writer) = reflector::store::<Watched>();
    let listing = Arc::new(Listing::new(Arc::clone(&ctx), namespace.clone(), listed));
    let takes_over = Arc::clone(&listing);
    // Pages, not one list: ten thousand resources need not be in memory twice.
    let config = watcher::Config::default().page_size(500);
    let objects = watcher::watcher(api, config)
        .default_backoff()
        .modify(|object| {
            object.meta_mut().managed_fields = None;
        })
        .inspect(move |event| listing.take_in(event))
        .reflect(writer)
        .touched_objects();
    let (requests, triggered) = (triggers, reader.clone());
    let mut controller = Controller::for_stream(objects, reader)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(keys(requests))
        .reconcile_all_on(became_true(leads).inspect(move |()| takes_over.assume_hold()));
    if watch_secrets {
        let secrets = secret_changes(&ctx, namespace.as_deref());
        controller = controller.reconcile_on(referring(secrets, triggered, Arc::clone(&ctx)));
    }
    controller
        .graceful_shutdown_on(async move {
            // An error means that nobody can ask any more, which is a stop too.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, |_, error, _| match *error {}, ctx)
        .for_each(|result| async move {
            if let Err(error) = result {
                // The watch's own errors; their texts hold no bodies of ours, but say no more
                // than that.
                tracing::debug!(kind = error_kind(&error), "Visit not made");
            }
        })
        .await;
}

fn error_kind<A: std::error::Error, B: std::error::Error>(
    error: &kube::runtime::controller::Error<A, B>,
) -> &'static str {
    use kube::runtime::controller::Error;
    match error {
        Error::ObjectNotFound(_) => "the resource is gone",
        Error::ReconcilerFailed(..) => "the visit failed",
        Error::QueueError(_) => "the watch failed",
        Error::RunnerError(_) => "the watch never became ready",
    }
}

fn keys(receiver: UnboundedReceiver<Key>) -> impl Stream<Item = ObjectRef<Watched>> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        let key = receiver.recv().await?;
        Some((ObjectRef::new(&key.name).within(&key.namespace), receiver))
    })
}

fn became_true(receiver: watch::Receiver<bool>) -> impl Stream<Item = ()> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        loop {
            receiver.changed().await.ok()?;
            if *receiver.borrow_and_update() {
                return Some(((), receiver));
            }
        }
    })
}

/// Metadata of Secrets only; their content is read by `get` when it is needed.
fn secret_changes(
    ctx: &Context,
    namespace: Option<&str>,
) -> impl Stream<Item = PartialObjectMeta<Secret>> + Send + 'static {
    let client = ctx.cluster.client().clone();
    let api: Api<PartialObjectMeta<Secret>> = match namespace {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    };
    watcher::watcher(api, watcher::Config::default().page_size(500))
        .default_backoff()
        .touched_objects()
        .filter_map(|secret| std::future::ready(secret.ok()))
}

/// The resources that refer to a Secret which changed.
fn referring(
    secrets: impl Stream<Item = PartialObjectMeta<Secret>> + Send + 'static,
    store: reflector::Store<Watched>,
    ctx: Arc<Context>,
) -> impl Stream<Item = ObjectRef<Watched>> {
    secrets.flat_map(move |secret| {
        let refers = |object: &PhoneMigration| {
            object.metadata.namespace == secret.metadata.namespace
                && Some(&object.spec.verify_code_secret_ref.name) == secret.metadata.name.as_ref()
        };
        let found: Vec<ObjectRef<Watched>> = store
            .state()
            .iter()
            .filter_map(|watched| watched.0.as_ref().ok())
            .filter(|object| refers(object))
            .filter_map(crate::look::key_of)
            .map(|key| {
                ctx.visits.wake(&key, clock::boot());
                ObjectRef::new(&key.name).within(&key.namespace)
            })
            .collect();
        futures::stream::iter(found)
    })
}

/// Waits until the resource type is served, saying so once a minute.
pub async fn wait_for_crd(ctx: &Context, namespace: Option<&str>) {
    const EVERY: Duration = Duration::from_secs(2);
    let mut waits = 0u32;
    loop {
        let missing = match ctx.cluster.is_installed(namespace).await {
            Ok(true) => return,
            Ok(false) => "the CRD phonemigrations.phonemigration.dev is not installed: apply crds/phonemigrations.yaml".to_owned(),
            Err(error) => format!("PhoneMigrations cannot be listed: {error}"),
        };
        if waits.is_multiple_of(30) {
            tracing::warn!(why = %missing, "Waiting");
        }
        waits += 1;
        tokio::time::sleep(EVERY).await;
    }
}
