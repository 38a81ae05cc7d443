//! Sends every request to the API server. This module makes no decisions.
//!
//! Limits: this module never repeats a request (kube's built-in retry must be off in the client).
//! Each request has a deadline. A Secret is read with `get` into our own type, so no library can
//! print one.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::{Api, ListParams, PartialObjectMeta, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::runtime::events::Event;

use crate::api::crd::{PhoneMigration, VerifyCodeSecretRef};
use crate::api::object_key::ObjectKey;
use crate::domain::code::SecretValues;
use crate::telemetry::metrics::Metrics;
use events::Recorder;

mod arrived;
mod counted;
mod deadlines;
pub mod event_queue;
mod events;
mod inspect;
pub mod lease;
pub mod ledgers;
mod replies;
pub mod secret_body;
pub mod watch;

pub use arrived::{Arrived, Unparsable};
pub use inspect::Right;

/// Field manager of the operator's writes.
pub const MANAGER: &str = "phone-migration-operator";
const REPORTER: &str = "phonemigration.dev/phone-migration-operator";
/// Deadline of each request, except watches and their lists. It leaves a leader time to retry
/// before its leadership ends.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Another write came first, or the precondition no longer holds.
    #[error("the object changed in the meantime (409)")]
    Conflict,
    /// The object or its resource type does not exist. For one object, the 404 must name it.
    #[error("not found (404)")]
    NotFound,
    /// The API server refuses the write as invalid.
    #[error(
        "the API server refuses the status as invalid (422): is the installed CRD of this version?"
    )]
    Invalid,
    /// The API server stored something other than what the operator wrote.
    #[error(
        "the API server stored something else than what was written: is the installed CRD of this \
         version, and does an admission policy change it?"
    )]
    Altered,
    /// RBAC forbids the request.
    #[error("forbidden (403): check the ClusterRole of the operator")]
    Forbidden,
    /// The API server does not accept the operator's credentials.
    #[error("unauthorized (401): check the token of the operator's ServiceAccount")]
    Unauthorized,
    /// The request failed with this HTTP status; the API server may have executed it.
    #[error("the API server failed (HTTP {0})")]
    Failed(u16),
    /// The API server gave no definite answer; it may have executed the request.
    #[error("no answer from the API server ({0})")]
    Unavailable(String),
}

impl ClusterError {
    /// HTTP status for the metric, if the API server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClusterError::Conflict => Some(409),
            ClusterError::NotFound => Some(404),
            ClusterError::Invalid => Some(422),
            ClusterError::Altered => Some(200),
            ClusterError::Forbidden => Some(403),
            ClusterError::Unauthorized => Some(401),
            ClusterError::Failed(status) => Some(*status),
            ClusterError::Unavailable(_) => None,
        }
    }

    fn of_status(code: u16) -> Self {
        match code {
            404 => ClusterError::NotFound,
            409 => ClusterError::Conflict,
            422 => ClusterError::Invalid,
            401 => ClusterError::Unauthorized,
            403 => ClusterError::Forbidden,
            // kube takes the status from the JSON body; a proxy's error page has none.
            0 => ClusterError::Unavailable("its answer has no status".into()),
            other => ClusterError::Failed(other),
        }
    }
}

impl From<kube::Error> for ClusterError {
    // Our own texts: a library's error may quote a body.
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => ClusterError::of_status(status.code),
            kube::Error::SerdeError(_) => {
                ClusterError::Unavailable("its answer cannot be parsed".into())
            }
            kube::Error::Auth(_) => {
                ClusterError::Unavailable("credentials cannot be loaded".into())
            }
            _ => ClusterError::Unavailable("connection failed".into()),
        }
    }
}

/// True for one path segment that consists only of characters of Kubernetes names.
fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// The client of the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    recorder: Recorder,
}

async fn within<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(result) => result.map_err(ClusterError::from),
        Err(_) => Err(ClusterError::Unavailable("no answer within 5 s".into())),
    }
}

/// Like [`within`] for a request about one object: `NotFound` only if a Status names the object.
async fn within_about<T>(
    name: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    let believed = async {
        match request.await {
            Err(kube::Error::Api(s)) if s.code == 404 && !replies::is_about(&s, name) => Ok(None),
            result => result.map(Some),
        }
    };
    within(believed).await?.ok_or_else(replies::unbelieved)
}

fn parsed(arrived: Arrived) -> Result<PhoneMigration, ClusterError> {
    let unparsable = |_| ClusterError::Unavailable("its answer cannot be parsed".into());
    arrived.0.map_err(unparsable)
}

impl Cluster {
    /// Builds a client from this configuration and sends nothing yet. `instance` names this process
    /// in Events.
    ///
    /// # Errors
    /// When the keys or certificates in the configuration cannot be used.
    pub fn connect(
        mut config: kube::Config,
        metrics: Arc<Metrics>,
        instance: String,
    ) -> Result<Self, kube::Error> {
        // Danger: kube's retry would repeat a status write that was executed and answered 504. The
        // repeated write would conflict with the first one.
        config.default_retry = false;
        let host = config.cluster_url.authority().map(ToString::to_string);
        let count = counted::Count::new(metrics, host.unwrap_or_default());
        let client = ClientBuilder::try_from(config)?
            .with_layer(&count)
            .with_layer(&deadlines::Deadlines)
            .build();
        Ok(Self::new(client, instance))
    }

    /// Uses the caller's client. Danger: that client must not retry, see [`Cluster::connect`].
    pub fn new(client: Client, instance: String) -> Self {
        Self {
            recorder: Recorder::new(client.clone(), instance),
            client,
        }
    }

    /// The API of the PhoneMigrations in one namespace, or in all (`None`).
    pub fn migrations(&self, namespace: Option<&str>) -> Api<Arrived> {
        match namespace {
            None => Api::all(self.client.clone()),
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
        }
    }

    /// The client, for the watches and the Lease.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The API server's current revision, from a consistent list of one PhoneMigration (never an
    /// old view). `None` if the revision is not a number.
    ///
    /// # Errors
    /// `NotFound` until the API server serves the resource type.
    pub async fn revision(&self, namespace: Option<&str>) -> Result<Option<u64>, ClusterError> {
        let api: Api<PartialObjectMeta<Arrived>> = match namespace {
            None => Api::all(self.client.clone()),
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
        };
        let list = within(api.list(&ListParams::default().limit(1))).await?;
        let version = list.metadata.resource_version;
        Ok(version.and_then(|version| version.parse().ok()))
    }

    /// Reads the resource live, never from a cache.
    ///
    /// # Errors
    /// `NotFound` when the resource is gone.
    pub async fn get(&self, key: &ObjectKey) -> Result<PhoneMigration, ClusterError> {
        let api = self.migrations(Some(&key.namespace));
        let arrived = within_about(&key.name, api.get(&key.name)).await?;
        parsed(arrived)
    }

    /// Writes the status of `object` if its resourceVersion and uid are unchanged. Returns the
    /// stored object.
    ///
    /// # Errors
    /// `Conflict` when they have changed. After `Failed` or `Unavailable` the write may have
    /// happened.
    pub async fn replace_status(
        &self,
        object: &PhoneMigration,
    ) -> Result<PhoneMigration, ClusterError> {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name)
        else {
            return Err(ClusterError::NotFound);
        };
        let api: Api<PhoneMigration> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        within_about(name, api.replace_status(name, &params, object)).await
    }

    /// Reads the two values of a Secret that `reference` names; `None` if the Secret does not
    /// exist.
    ///
    /// # Errors
    /// When the API server returns neither the Secret nor a 404 that names it.
    pub async fn secret(
        &self,
        namespace: &str,
        reference: &VerifyCodeSecretRef,
    ) -> Result<Option<SecretValues>, ClusterError> {
        // The schema already excludes other names. An unchecked name must never become a path, and
        // an empty name would ask for all Secrets.
        if !is_plain_name(&reference.name) {
            return Ok(None);
        }
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{}", reference.name);
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|_| ClusterError::NotFound)?;
        let answer = async {
            let reply = self.client.send(request).await?;
            let status = reply.status();
            Ok((status, reply.into_body().collect_bytes().await?))
        };
        let (status, body) = within(answer).await?;
        match status {
            StatusCode::NOT_FOUND if replies::names(&body, &reference.name) => return Ok(None),
            StatusCode::NOT_FOUND => return Err(replies::unbelieved()),
            status if !status.is_success() => return Err(ClusterError::of_status(status.as_u16())),
            _ => {}
        }
        let values = secret_body::parse(&body, reference);
        // Best effort: this code cannot clear the connection's own buffers.
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.fill(0);
        }
        values
            .map(Some)
            .ok_or_else(|| ClusterError::Unavailable("its answer is not a Secret".into()))
    }

    /// Publishes an Event on a resource.
    ///
    /// # Errors
    /// When the API server refuses the Event or does not answer.
    pub async fn publish(
        &self,
        event: &Event,
        object: &ObjectReference,
    ) -> Result<(), ClusterError> {
        self.recorder.publish(event, object).await
    }
}
