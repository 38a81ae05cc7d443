//! The tenants' requests to the API server, repeated until they succeed: it comes and goes.
//! Everything is an apply or a delete, so that a lost reply does no harm.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::World;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::events::Events;

const ANSWER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(300);
/// No fault lasts as long as this.
const GIVE_UP: Duration = Duration::from_secs(180);

/// The desired PhoneMigration.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    pub namespace: String,
    pub name: String,
    pub phone: String,
    pub suspend: bool,
    pub retry_token: String,
    pub requested_at: Option<String>,
}

/// The API server, as tenants use it.
#[derive(Clone)]
pub struct Cluster {
    pub world: Arc<World>,
    pub events: Arc<Events>,
}

impl Cluster {
    /// Repeats a request until there is an answer; `None`, and a problem, if there is none for
    /// minutes.
    async fn insist<T, F>(&self, what: &str, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let deadline = Instant::now() + GIVE_UP;
        loop {
            let why = match timeout(ANSWER, ask()).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() > deadline {
                self.events.problem(format!("{what}: {why}"));
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// The PhoneMigration as desired.
    pub async fn apply(&self, desired: &Desired) {
        let annotations = match &desired.requested_at {
            Some(at) => json!({"phonemigration.dev/requestedAt": at}),
            None => json!({}),
        };
        let body = json!({
            "apiVersion": "phonemigration.dev/v1alpha1",
            "kind": "PhoneMigration",
            "metadata": {"name": desired.name, "annotations": annotations},
            "spec": {
                "custSpaceId": "29348393884",
                "phoneNumber": desired.phone,
                "verifyCodeSecretRef": {"name": secret_name(&desired.name)},
                "suspend": desired.suspend,
                "retryToken": desired.retry_token,
            },
        });
        let api = self.world.migrations_in(&desired.namespace);
        let (params, patch) = (PatchParams::apply("tenant").force(), Patch::Apply(&body));
        let ask = || api.patch(&desired.name, &params, &patch);
        self.insist("apply a PhoneMigration", ask).await;
    }

    /// The Secret of a PhoneMigration with this code; `label` changes it without changing the code.
    pub async fn apply_code(&self, of: &Desired, code: &str, label: &str) {
        let name = secret_name(&of.name);
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"written": label}},
            "data": {"code": STANDARD.encode(code)},
        });
        let api: Api<Secret> = Api::namespaced(self.world.plane.admin.clone(), &of.namespace);
        let (params, patch) = (PatchParams::apply("tenant").force(), Patch::Apply(&body));
        self.insist("apply a Secret", || api.patch(&name, &params, &patch))
            .await;
    }

    /// Deletes the PhoneMigration; a missing one is not an error.
    pub async fn delete(&self, of: &Desired) {
        let api = self.world.migrations_in(&of.namespace);
        let params = DeleteParams::default();
        let ask = async || match api.delete(&of.name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        };
        self.insist("delete a PhoneMigration", ask).await;
    }

    /// The PhoneMigrations that a field selector chooses; empty: all.
    pub async fn list(&self, fields: &str) -> Option<Vec<Value>> {
        let api = self.world.migrations_everywhere();
        let params = ListParams::default().fields(fields);
        let ask = || api.list(&params);
        let list = self.insist("list PhoneMigrations", ask).await?;
        let value = |object: DynamicObject| serde_json::to_value(object).ok();
        Some(list.items.into_iter().filter_map(value).collect())
    }
}

fn secret_name(name: &str) -> String {
    format!("{name}-code")
}
