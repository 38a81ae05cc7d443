//! The watch of PhoneMigrations, which begins again after a restore of etcd, and the request that
//! detects a restore or a namespace that cannot be watched.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};

use crate::clock::{self, BootTime};
use crate::cluster::{Arrived, ClusterError, watch};
use crate::domain::decide;
use crate::operator::state::cached::Cached;
use crate::operator::state::context::Context;
use crate::operator::state::views::Trouble;

/// Pause between two requests for the revision: a restore is noticed within a minute.
const EVERY: Duration = Duration::from_secs(30);
/// Pause after a failed request.
const RETRY: Duration = Duration::from_secs(2);
/// The log repeats the same failure after this time.
const REPEAT: Duration = Duration::from_secs(60);

/// The events of one watch.
pub type Events = BoxStream<'static, watcher::Result<Event<Arrived>>>;

/// Lists and watches a namespace (`None`: all). After a restore of etcd it lists everything again:
/// a watch that continued from a version which the API server has not reached again would be silent
/// until then.
pub fn arrivals(
    ctx: &Context,
    namespace: Option<&str>,
) -> impl Stream<Item = watcher::Result<Event<Arrived>>> + Send + 'static {
    let api = ctx.cluster.migrations(namespace);
    let begin = move || -> Events {
        watcher::watcher(api.clone(), watch::config())
            .default_backoff()
            .boxed()
    };
    let state = (begin(), ctx.revisions.subscribe(), begin);
    futures::stream::unfold(state, |(mut events, mut restores, begin)| async move {
        loop {
            tokio::select! {
                biased;
                Ok(()) = restores.changed() => events = begin(),
                event = events.next() => return Some((event?, (events, restores, begin))),
            }
        }
    })
}

/// The change of the cache for an event; `None`: no change. A resource that needs nothing is not in
/// the cache. If that changes, the watch reports it.
pub fn keep(event: Event<Arrived>) -> Option<Event<Cached>> {
    match event {
        Event::Init => Some(Event::Init),
        Event::InitApply(arrived) => {
            (!needs_nothing(&arrived)).then(|| Event::InitApply(Cached::keep(&arrived)))
        }
        Event::InitDone => Some(Event::InitDone),
        Event::Apply(arrived) if needs_nothing(&arrived) => {
            Some(Event::Delete(Cached::keep(&arrived)))
        }
        Event::Apply(arrived) => Some(Event::Apply(Cached::keep(&arrived))),
        Event::Delete(arrived) => Some(Event::Delete(Cached::keep(&arrived))),
    }
}

/// True for a resource for which the operator does nothing until it changes.
pub fn needs_nothing(arrived: &Arrived) -> bool {
    arrived.0.as_ref().is_ok_and(decide::needs_nothing)
}

/// Requests the revision of a namespace again and again, as long as the process lives.
pub async fn pulse(ctx: &Arc<Context>, namespace: Option<&str>) {
    let mut said = None;
    loop {
        let mark = ctx.revisions.mark();
        let pause = match ctx.cluster.revision(namespace).await {
            Ok(revision) => {
                said = None;
                ctx.views.reached(namespace);
                if revision.is_some_and(|revision| ctx.revisions.went_back(mark, revision)) {
                    tracing::warn!(
                        ?revision,
                        "The API server is behind what was seen: etcd was restored from a \
                         snapshot, so everything is listed anew"
                    );
                }
                EVERY
            }
            Err(error) => {
                let trouble = match error {
                    ClusterError::Forbidden => Trouble::Forbidden,
                    ClusterError::Conflict
                    | ClusterError::NotFound
                    | ClusterError::Invalid
                    | ClusterError::Altered
                    | ClusterError::Unauthorized
                    | ClusterError::Failed(_)
                    | ClusterError::Unavailable(_) => Trouble::Failing,
                };
                ctx.views.failed(namespace, trouble);
                said = say(namespace, error, said);
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Logs an error once, then once a minute while it lasts. Returns the last log and its time.
fn say(
    namespace: Option<&str>,
    error: ClusterError,
    said: Option<(ClusterError, BootTime)>,
) -> Option<(ClusterError, BootTime)> {
    let now = clock::boot();
    if let Some((last, at)) = said
        && last == error
        && now < at + REPEAT
    {
        return Some((last, at));
    }
    let namespace = namespace.unwrap_or("(all)");
    match &error {
        ClusterError::NotFound => tracing::warn!(
            namespace,
            "Waiting: the CRD phonemigrations.phonemigration.dev is not installed: apply \
             crds/phonemigrations.yaml"
        ),
        ClusterError::Forbidden => tracing::error!(
            namespace,
            "PhoneMigrations of this namespace may not be listed (403), so nothing is done there: \
             bind the ClusterRole phone-migration-operator to the operator's ServiceAccount there, \
             or take the namespace out of --watch-namespaces"
        ),
        ClusterError::Conflict
        | ClusterError::Invalid
        | ClusterError::Altered
        | ClusterError::Unauthorized
        | ClusterError::Failed(_)
        | ClusterError::Unavailable(_) => {
            tracing::warn!(namespace, %error, "Waiting: PhoneMigrations cannot be listed");
        }
    }
    Some((error, now))
}
