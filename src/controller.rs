//! The watches, and what triggers a visit.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::clock;
use crate::cluster::{Key, Watched};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::quota::Cause;
use crate::reads::MAX_BACK_OFF;
use crate::reason::Reason;
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
    let listing = Listing::new(Arc::clone(&ctx), namespace.clone(), listed);
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
        .reconcile_all_on(became_true(leads));
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
                ctx.visits.set_due(&key, Some(clock::boot()));
                ObjectRef::new(&key.name).within(&key.namespace)
            })
            .collect();
        futures::stream::iter(found)
    })
}

/// Takes in what the watch yields: who names which number, who is gone, what held the account
/// when the last process ended.
struct Listing {
    ctx: Arc<Context>,
    namespace: Option<String>,
    listed: watch::Sender<bool>,
    current: Mutex<List>,
}

/// What held the account when the last process ended.
#[derive(Clone, Copy, Debug)]
enum HeldBy {
    Hold(Cause),
    Pause,
}

#[derive(Default)]
struct List {
    uids: HashSet<String>,
    newest: Option<(Timestamp, Option<(HeldBy, Timestamp)>)>,
}

impl Listing {
    fn new(ctx: Arc<Context>, namespace: Option<String>, listed: watch::Sender<bool>) -> Self {
        Self {
            ctx,
            namespace,
            listed,
            current: Mutex::default(),
        }
    }

    fn take_in(&self, event: &Result<Event<Watched>, watcher::Error>) {
        let mut list = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Init) => *list = List::default(),
            Ok(Event::InitApply(watched)) => {
                if let Ok(object) = &watched.0 {
                    list.add(object);
                }
                self.seen(watched);
            }
            Ok(Event::InitDone) => {
                let gone = self
                    .ctx
                    .siblings
                    .retain(self.namespace.as_deref(), &list.uids);
                self.ctx.wake_all(&gone);
                if !self.listed.send_replace(true) {
                    list.assume_hold(&self.ctx);
                }
            }
            Ok(Event::Apply(watched)) => self.seen(watched),
            Ok(Event::Delete(watched)) => {
                if let Some(uid) = &watched.meta().uid {
                    self.ctx.quota.leave(uid);
                    if let Some(key) = watched.0.as_ref().ok().and_then(crate::look::key_of) {
                        self.ctx.visits.forget(&key);
                    }
                    let others = self.ctx.siblings.gone(uid);
                    self.ctx.wake_all(&others);
                }
            }
            Err(error) => {
                tracing::warn!(kind = watch_error(error), "Watch interrupted, trying again")
            }
        }
    }

    fn seen(&self, watched: &Watched) {
        if let Ok(object) = &watched.0 {
            let others = self.ctx.siblings.seen(object);
            self.ctx.wake_all(&others);
        }
    }
}

fn watch_error(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) => "list failed",
        watcher::Error::WatchStartFailed(_) => "watch not started",
        watcher::Error::WatchError(_) => "watch ended by the API server",
        watcher::Error::WatchFailed(_) => "watch broke",
        watcher::Error::NoResourceVersion => "list without resourceVersion",
    }
}

impl List {
    fn add(&mut self, object: &PhoneMigration) {
        self.uids.extend(object.metadata.uid.clone());
        let Some(status) = &object.status else { return };
        let finished = status
            .attempt
            .as_ref()
            .and_then(|attempt| attempt.finished_at.as_ref());
        let Some(finished) = finished.map(|at| at.0) else {
            return;
        };
        if self
            .newest
            .as_ref()
            .is_some_and(|(newest, _)| *newest >= finished)
        {
            return;
        }
        let cause = match status.reason.as_deref().and_then(Reason::parse) {
            Some(Reason::CredentialsInvalid) => Some(HeldBy::Hold(Cause::Credentials)),
            Some(Reason::AccountError) => Some(HeldBy::Hold(Cause::Account)),
            Some(Reason::ClockSkew) => Some(HeldBy::Hold(Cause::Clock)),
            Some(Reason::Throttled) => Some(HeldBy::Pause),
            _ => None,
        };
        let until = status.next_attempt_at.as_ref().map(|at| at.0);
        self.newest = Some((finished, cause.zip(until)));
    }

    /// A hold is assumed only if the newest attempt says so, and never for long: status can be
    /// forged.
    fn assume_hold(&self, ctx: &Context) {
        let Some((_, Some((cause, until)))) = &self.newest else {
            return;
        };
        let now = clock::now();
        let wait = until.duration_since(now.wall);
        if wait.is_positive() {
            let wait = wait.unsigned_abs().min(MAX_BACK_OFF);
            tracing::info!(
                ?cause,
                ?wait,
                "Account was held when the last process ended"
            );
            match *cause {
                HeldBy::Hold(cause) => ctx.quota.assume_hold(cause, now.boot + wait),
                HeldBy::Pause => ctx.quota.assume_pause(now.boot + wait),
            }
        }
    }
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
