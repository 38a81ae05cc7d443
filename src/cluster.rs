//! Every request to the API server, and nothing else: no decision is made here.
//!
//! Limits: no request is ever repeated here (kube's built-in retry must be off in the client),
//! each has a deadline, and a Secret is read by `get` into our own type, so that no library can
//! print one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::core::DeserializeGuard;
use kube::runtime::events::{Event, Recorder, Reporter};

use crate::code::SecretValues;
use crate::crd::{PhoneMigration, VerifyCodeSecretRef};
use crate::metrics::Metrics;
use crate::secret_body;

mod counted;
mod inspect;

/// Field manager and reporting controller.
pub const MANAGER: &str = "phone-migration-operator";
const REPORTER: &str = "phonemigration.dev/phone-migration-operator";
const DEADLINE: Duration = Duration::from_secs(5);

/// What the watch yields: an object that cannot be parsed does not stall the others.
pub type Watched = DeserializeGuard<PhoneMigration>;

/// Namespace and name of a PhoneMigration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a request did not give what it was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The write lost against another one, or its precondition no longer holds.
    #[error("the object changed in the meantime (409)")]
    Conflict,
    /// The object does not exist.
    #[error("not found (404)")]
    NotFound,
    /// The schema refuses the write.
    #[error(
        "the API server refuses the status as invalid (422): is the installed CRD of this version?"
    )]
    Invalid,
    /// RBAC refuses it.
    #[error("forbidden (403): check the ClusterRole of the operator")]
    Forbidden,
    /// The API server does not know who asks.
    #[error("unauthorized (401): check the token of the operator's ServiceAccount")]
    Unauthorized,
    /// It did not succeed, by this HTTP status; the request may have been executed.
    #[error("the API server failed (HTTP {0})")]
    Failed(u16),
    /// No definite answer; the request may have been executed.
    #[error("no answer from the API server ({0})")]
    Unavailable(String),
}

impl ClusterError {
    /// HTTP status for the metric, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClusterError::Conflict => Some(409),
            ClusterError::NotFound => Some(404),
            ClusterError::Invalid => Some(422),
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
            // kube takes the status from the reply's JSON; a proxy's error page has none.
            0 => ClusterError::Unavailable("its answer has no status".into()),
            other => ClusterError::Failed(other),
        }
    }
}

impl From<kube::Error> for ClusterError {
    // Texts are ours: a library's error may quote a body.
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

/// One segment of a path, by the characters that names are made of.
fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// The API server.
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

impl Cluster {
    /// A client of this configuration; nothing is requested yet. `instance` names this process
    /// in Events.
    ///
    /// # Errors
    /// When the configuration's own keys or certificates cannot be used.
    pub fn connect(
        mut config: kube::Config,
        metrics: Arc<Metrics>,
        instance: String,
    ) -> Result<Self, kube::Error> {
        // Danger: with it a status write that was executed and answered 504 would be repeated
        // below us and come back as a conflict with ourselves.
        config.default_retry = false;
        let host = config.cluster_url.authority().map(ToString::to_string);
        let count = counted::Count::new(metrics, host.unwrap_or_default());
        let client = ClientBuilder::try_from(config)?.with_layer(&count).build();
        Ok(Self::new(client, instance))
    }

    /// With a client of the caller's. Danger: it must not retry by itself, see
    /// [`Cluster::connect`].
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: REPORTER.into(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
        }
    }

    /// The API of all namespaces, or of one, for the watch.
    pub fn watched(&self, namespace: Option<&str>) -> Api<Watched> {
        match namespace {
            None => Api::all(self.client.clone()),
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
        }
    }

    /// The client, for the watches and the lease.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// True once the resource type is served.
    ///
    /// # Errors
    /// Anything but "not found".
    pub async fn is_installed(&self, namespace: Option<&str>) -> Result<bool, ClusterError> {
        let api = self.watched(namespace);
        match within(api.list(&ListParams::default().limit(1))).await {
            Ok(_) => Ok(true),
            Err(ClusterError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn api(&self, key: &Key) -> Api<PhoneMigration> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    /// The resource as it is now; never from a cache.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub async fn get(&self, key: &Key) -> Result<PhoneMigration, ClusterError> {
        within(self.api(key).get(&key.name)).await
    }

    /// Writes the status of `object` on the condition that its resourceVersion and uid are
    /// still those of `object`. Returns what is stored then.
    ///
    /// # Errors
    /// `Conflict` when the condition does not hold. After `Unavailable` the write may have
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
        within(api.replace_status(name, &params, object)).await
    }

    /// Reads the two values of a Secret that `reference` names; `None` if it does not exist.
    ///
    /// # Errors
    /// When the API server gives no Secret and no 404.
    pub async fn secret(
        &self,
        namespace: &str,
        reference: &VerifyCodeSecretRef,
    ) -> Result<Option<SecretValues>, ClusterError> {
        // The schema excludes anything else; a path is never built from an unchecked name, and an
        // empty one would ask for all Secrets.
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
            StatusCode::NOT_FOUND => return Ok(None),
            status if !status.is_success() => return Err(ClusterError::of_status(status.as_u16())),
            _ => {}
        }
        let values = secret_body::parse(&body, reference);
        // Best effort: the connection's own buffers are out of our hands.
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
    /// When the API server refuses it or does not answer.
    pub async fn publish(
        &self,
        event: &Event,
        object: &ObjectReference,
    ) -> Result<(), ClusterError> {
        within(self.recorder.publish(event, object)).await
    }
}
