//! Every request to the API server. No decision is made here.
//!
//! Limits: no request is repeated, and each has a deadline. Secrets are read and written by this
//! crate's own types, so that no library can print one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DeserializeGuard;
use kube::{Client, Config};
use phone_migration_api::crd::{PhoneMigration, REQUESTED_AT};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::text::clean;

mod error;
pub mod feed;
pub mod secret;

pub use error::ApiError;

/// Field manager of every write.
pub const MANAGER: &str = "kubectl-phmig";
const DEADLINE: Duration = Duration::from_secs(15);

/// One item of a list or a watch: an object that cannot be parsed does not hide the others.
pub type Guarded = DeserializeGuard<PhoneMigration>;

/// How to reach the cluster, named like kubectl's flags.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
}

/// Namespace and name of a PhoneMigration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
}

impl Key {
    /// The key of this object.
    pub fn of(object: &PhoneMigration) -> Self {
        let field = |field: &Option<String>| clean(field.as_deref().unwrap_or_default());
        Self {
            namespace: field(&object.metadata.namespace),
            name: field(&object.metadata.name),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which PhoneMigrations a command is about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// In this namespace; `None`: in all.
    pub namespace: Option<String>,
    /// With these labels.
    pub selector: Option<String>,
    /// With this name.
    pub name: Option<String>,
}

impl Scope {
    /// One resource.
    pub fn one(key: &Key) -> Self {
        Self {
            namespace: Some(key.namespace.clone()),
            selector: None,
            name: Some(key.name.clone()),
        }
    }

    fn fields(&self) -> Option<String> {
        let name = self.name.as_ref()?;
        Some(format!("metadata.name={name}"))
    }
}

/// The result of a list.
pub struct Listed {
    /// The objects that could be parsed.
    pub objects: Vec<PhoneMigration>,
    /// How many objects could not be parsed.
    pub unreadable: usize,
}

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// The namespace of the context.
    pub default_namespace: String,
}

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(result) => result.map_err(ApiError::from),
        Err(_) => Err(ApiError::Unreachable(format!(
            "no answer within {} s",
            DEADLINE.as_secs()
        ))),
    }
}

impl Cluster {
    /// Connects by the kubeconfig, or in a pod by its ServiceAccount. Sends no request yet.
    ///
    /// # Errors
    /// When there is neither, or the client cannot use it.
    pub async fn connect(access: &Access) -> Result<Self, Failure> {
        let failure = |error: &dyn fmt::Display| Failure {
            exit: Exit::Error,
            message: format!("cannot use the kubeconfig: {}", clean(&error.to_string())),
        };
        let options = KubeConfigOptions {
            context: access.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &access.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|e| failure(&e))?;
                let config = Config::from_custom_kubeconfig(file, &options).await;
                config.map_err(|e| failure(&e))?
            }
            None if access.context.is_some() => {
                let config = Config::from_kubeconfig(&options).await;
                config.map_err(|e| failure(&e))?
            }
            None => Config::infer().await.map_err(|e| failure(&e))?,
        };
        // Danger: a repeated POST that was already executed returns a conflict with the first one.
        config.default_retry = false;
        config.connect_timeout = Some(DEADLINE);
        let default_namespace = config.default_namespace.clone();
        let client = ClientBuilder::try_from(config).map_err(|e| failure(&e))?;
        Ok(Self {
            client: client.build(),
            default_namespace,
        })
    }

    fn api(&self, namespace: &str) -> Api<PhoneMigration> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn guarded(&self, scope: &Scope) -> Api<Guarded> {
        match &scope.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// One PhoneMigration.
    ///
    /// # Errors
    /// `NotFound`, or the API server's error.
    pub async fn get(&self, key: &Key) -> Result<PhoneMigration, ApiError> {
        within(self.api(&key.namespace).get(&key.name)).await
    }

    /// The PhoneMigrations of a scope, by namespace and name.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn list(&self, scope: &Scope) -> Result<Listed, ApiError> {
        let params = ListParams {
            label_selector: scope.selector.clone(),
            field_selector: scope.fields(),
            ..ListParams::default()
        };
        let all = within(self.guarded(scope).list(&params)).await?.items;
        let count = all.len();
        let mut objects: Vec<_> = all.into_iter().filter_map(|item| item.0.ok()).collect();
        objects.sort_by_key(Key::of);
        Ok(Listed {
            unreadable: count - objects.len(),
            objects,
        })
    }

    /// Sets the annotation that makes the operator reconcile at once.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn request_look(&self, key: &Key, value: &str) -> Result<(), ApiError> {
        let patch = json!({"metadata": {"annotations": {REQUESTED_AT: value}}});
        self.patch(key, &patch).await
    }

    /// Sets spec.retryToken.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn set_retry_token(&self, key: &Key, token: &str) -> Result<(), ApiError> {
        self.patch(key, &json!({"spec": {"retryToken": token}}))
            .await
    }

    async fn patch(&self, key: &Key, patch: &serde_json::Value) -> Result<(), ApiError> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(&key.namespace);
        within(api.patch(&key.name, &params, &Patch::Merge(patch)))
            .await
            .map(drop)
    }

    /// A Lease; `None` if there is none of this name.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, ApiError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        within(api.get_opt(name)).await
    }
}
