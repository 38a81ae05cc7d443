//! `--watch-secrets`: the operator reads a changed Secret in the next possible turn.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};

use crate::api::object_key::ObjectKey;
use crate::clock::{self, BootTime};
use crate::cluster::{self, ClusterError};
use crate::operator::state::context::Context;
use crate::operator::state::secret_names::SecretNames;

/// Between two warnings that Secrets cannot be watched.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Watches the Secrets of a namespace (`None`: of all) as long as the process lives; their metadata
/// only. The operator reads the content by `get` when it needs it.
pub(super) async fn watch(ctx: Arc<Context>, namespace: Option<String>) {
    let Some(names) = &ctx.secret_names else {
        return std::future::pending().await;
    };
    let client = ctx.cluster.client().clone();
    let api: Api<PartialObjectMeta<Secret>> = match namespace.as_deref() {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    };
    let changes = watcher::watcher(api, cluster::watch::config())
        .default_backoff()
        .touched_objects();
    let mut changes = std::pin::pin!(changes);
    let mut warned = None;
    while let Some(change) = changes.next().await {
        match change {
            Ok(secret) => changed(&ctx, names, &secret),
            Err(error) => warn(&error, namespace.as_deref(), &mut warned, clock::boot()),
        }
    }
    // The stream of a watch never ends.
    std::future::pending().await
}

fn changed(ctx: &Context, names: &SecretNames, secret: &PartialObjectMeta<Secret>) {
    let metadata = &secret.metadata;
    let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else {
        return;
    };
    let secret = ObjectKey {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    for key in names.of(&secret) {
        ctx.memory.ask(&key, clock::boot());
    }
    ctx.planned.notify_one();
}

/// Logs why Secrets cannot be watched, at most once a minute.
fn warn(
    error: &watcher::Error,
    namespace: Option<&str>,
    warned: &mut Option<BootTime>,
    now: BootTime,
) {
    if warned.is_some_and(|at| now < at + BETWEEN_WARNINGS) {
        return;
    }
    *warned = Some(now);
    tracing::warn!(
        namespace = namespace.unwrap_or("all"),
        why = %why(error),
        "Secrets cannot be watched: changes are found by polling meanwhile"
    );
}

fn why(error: &watcher::Error) -> String {
    match refusal(error) {
        Some(403) => "forbidden (403): grant the operator's ServiceAccount list and watch on \
                      Secrets (chart value watchSecrets), or run it without --watch-secrets"
            .to_owned(),
        Some(401) => ClusterError::Unauthorized.to_string(),
        Some(status) => format!("the API server failed (HTTP {status})"),
        None => "no answer from the API server".to_owned(),
    }
}

/// HTTP status of an answer that was not a success.
fn refusal(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_refusal_says_what_to_grant() {
        let status = |code| {
            let status = kube::core::Status::failure("forbidden", "Forbidden").with_code(code);
            Box::new(status)
        };
        let listed = watcher::Error::InitialListFailed(kube::Error::Api(status(403)));
        assert!(why(&listed).contains("list and watch on Secrets"));
        let watched = watcher::Error::WatchError(status(403));
        assert_eq!(why(&watched), why(&listed));
        let failed = watcher::Error::WatchError(status(500));
        assert_eq!(why(&failed), "the API server failed (HTTP 500)");
    }
}
