//! The watches, and the triggers of a reconcile.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::watch;

mod arrivals;
mod execute;
pub mod polls;
mod reconcile;
mod secrets;
mod watch_handler;

use self::watch_handler::WatchHandler;
use crate::operator::controller::reconcile::reconcile;
use crate::operator::state::cached::Cached;
use crate::operator::state::context::Context;
use crate::operator::state::triggers::Triggered;

/// What one controller needs in addition to the context.
pub struct Wiring {
    /// The namespace it watches; `None` for all.
    pub namespace: Option<String>,
    /// Resources to reconcile.
    pub triggered: Triggered,
    /// Most reconciles at a time.
    pub concurrency: u16,
    /// Becomes true when this process leads; the controller then reconciles every resource.
    pub leads: watch::Receiver<bool>,
    /// Becomes true when the process is to stop.
    pub stop: watch::Receiver<bool>,
}

/// Watches and reconciles until told to stop. It begins once the API server answers for the
/// namespace. Running attempts are tasks of their own: they do not end with this.
pub async fn run(ctx: Arc<Context>, wiring: Wiring) {
    let namespace = wiring.namespace.clone();
    let watching = async {
        ctx.views.until_reached(namespace.as_deref()).await;
        watch(Arc::clone(&ctx), wiring).await;
    };
    tokio::select! {
        () = arrivals::pulse(&ctx, namespace.as_deref()) => {}
        () = watching => {}
    }
}

async fn watch(ctx: Arc<Context>, wiring: Wiring) {
    let Wiring {
        namespace,
        triggered,
        concurrency,
        leads,
        mut stop,
    } = wiring;
    let (reader, writer) = reflector::store::<Cached>();
    let watch_handler = Arc::new(WatchHandler::new(Arc::clone(&ctx), namespace.clone()));
    let takes_over = Arc::clone(&watch_handler);
    let objects = arrivals::arrivals(&ctx, namespace.as_deref())
        .inspect(move |event| watch_handler.take_in(event))
        .try_filter_map(|event| std::future::ready(Ok(arrivals::keep(event))))
        .reflect(writer)
        .touched_objects();
    let secrets = secrets::watch(Arc::clone(&ctx), namespace);
    let controller = Controller::for_stream(objects, reader)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(keys(triggered))
        .reconcile_all_on(became_true(leads).inspect(move |()| takes_over.assume_hold()));
    let memory = controller
        .graceful_shutdown_on(async move {
            // An error means that the sender is dropped, which counts as a stop.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, |_, error, _| match *error {}, ctx)
        .for_each(|result| async move {
            if let Err(error) = result {
                // The watch's own errors. Their texts hold none of our bodies, but the log shows
                // the kind only.
                tracing::debug!(kind = error_kind(&error), "Reconcile not made");
            }
        });
    tokio::select! {
        () = memory => {}
        () = secrets => {}
    }
}

fn error_kind<A: std::error::Error, B: std::error::Error>(
    error: &kube::runtime::controller::Error<A, B>,
) -> &'static str {
    use kube::runtime::controller::Error;
    match error {
        Error::ObjectNotFound(_) => "the resource is gone",
        Error::ReconcilerFailed(..) => "the reconcile failed",
        Error::QueueError(_) => "the watch failed",
        Error::RunnerError(_) => "the watch never became ready",
    }
}

fn keys(triggered: Triggered) -> impl Stream<Item = ObjectRef<Cached>> {
    futures::stream::unfold(triggered, |mut triggered| async move {
        let key = triggered.next().await?;
        Some((ObjectRef::new(&key.name).within(&key.namespace), triggered))
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
