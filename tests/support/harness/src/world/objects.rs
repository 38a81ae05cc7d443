//! The objects of a world: Secrets and PhoneMigrations.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::World;
use crate::error::{Error, Result};
use crate::events::locked;
use crate::verdict::list;

/// Time between two polls of the API server.
const POLL: Duration = Duration::from_millis(40);

/// A PhoneMigration to create.
#[derive(Clone, Debug)]
pub struct Migration {
    /// metadata.name; the Secret is `<name>-code`.
    pub name: String,
    /// spec.phoneNumber.
    pub phone: String,
    /// Added to the spec.
    pub spec: Value,
}

impl Migration {
    pub fn new(name: impl Into<String>, phone: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            phone: phone.into(),
            spec: json!({}),
        }
    }

    /// With more in the spec.
    #[must_use]
    pub fn spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }
}

impl World {
    /// The API of PhoneMigrations in a namespace.
    pub fn migrations_in(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.plane.admin.clone(), namespace, &resource())
    }

    /// The API of PhoneMigrations in all namespaces.
    pub fn migrations_everywhere(&self) -> Api<DynamicObject> {
        Api::all_with(self.plane.admin.clone(), &resource())
    }

    /// The API of PhoneMigrations in this world's namespace.
    pub fn migrations(&self) -> Api<DynamicObject> {
        self.migrations_in(&self.namespace)
    }

    /// The API of this world's CodeLedgers.
    pub fn ledger_api(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("phonemigration.dev", "v1alpha1", "CodeLedger");
        let resource = ApiResource::from_gvk_with_plural(&kind, "codeledgers");
        Api::namespaced_with(self.plane.admin.clone(), &self.ledger_namespace, &resource)
    }

    /// Makes a CodeLedger without an entry.
    pub async fn make_ledger(&self, name: &str, spec: Value) -> Result<()> {
        let object = json!({"apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
            "metadata": {"name": name}, "spec": spec});
        let object: DynamicObject =
            serde_json::from_value(object).map_err(Error::at("CodeLedger"))?;
        let made = self
            .ledger_api()
            .create(&PostParams::default(), &object)
            .await;
        made.map(|_| ()).map_err(Error::at("CodeLedger"))
    }

    /// Changes only the version of a CodeLedger.
    pub async fn touch_ledger(&self, name: &str, n: usize) -> Result<()> {
        let label = json!({"metadata": {"labels": {"n": n.to_string()}}});
        let touched = self
            .ledger_api()
            .patch(name, &PatchParams::default(), &Patch::Merge(&label))
            .await;
        touched.map(|_| ()).map_err(Error::at("CodeLedger"))
    }

    /// Every CodeLedger of this world.
    pub async fn ledgers(&self) -> Result<Vec<Value>> {
        list(self.ledger_api()).await
    }

    /// Creates or replaces the Secret of a migration.
    pub async fn code(&self, name: &str, code: &str) -> Result<()> {
        self.secret(&format!("{name}-code"), json!({"code": code}))
            .await
    }

    /// Creates or replaces a Secret.
    pub async fn secret(&self, name: &str, data: Value) -> Result<()> {
        self.secret_in(&self.namespace, name, data).await
    }

    /// The same in any namespace.
    pub async fn secret_in(&self, namespace: &str, name: &str, data: Value) -> Result<()> {
        self.remember(&data);
        self.note(format!("put Secret {name}"));
        let secrets: Api<Secret> = Api::namespaced(self.plane.admin.clone(), namespace);
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        // Keys that the new Secret does not name must go.
        let _ = secrets.delete(name, &DeleteParams::default()).await;
        let secret: Secret = serde_json::from_value(manifest).map_err(Error::at("Secret"))?;
        secrets
            .create(&PostParams::default(), &secret)
            .await
            .map(|_| ())
            .map_err(Error::at(format!("Secret {name}")))
    }

    /// The final check searches for every value of a Secret, whether or not it was sent. A time is
    /// not a secret, and one repeated character occurs by chance.
    fn remember(&self, data: &Value) {
        let values = data.as_object().into_iter().flatten();
        let secret = values
            .filter_map(|(_, value)| value.as_str())
            .filter(|value| {
                let first = value.chars().next();
                let is_time = value.parse::<jiff::Timestamp>().is_ok();
                !is_time && value.chars().any(|c| Some(c) != first)
            });
        locked(&self.secret_values).extend(secret.map(str::to_owned));
    }

    /// The values that were put into Secrets.
    pub(crate) fn secret_values(&self) -> BTreeSet<String> {
        locked(&self.secret_values).clone()
    }

    /// The numbers of the resources that were created.
    pub(crate) fn numbers(&self) -> BTreeSet<String> {
        locked(&self.numbers).clone()
    }

    /// Changes a Secret in place.
    pub async fn patch_secret(&self, name: &str, patch: Value) -> Result<()> {
        self.patch_secret_in(&self.namespace, name, patch).await
    }

    /// The same in any namespace.
    pub async fn patch_secret_in(&self, namespace: &str, name: &str, patch: Value) -> Result<()> {
        self.remember(&patch["stringData"]);
        self.note(format!("patch Secret {name}"));
        let secrets: Api<Secret> = Api::namespaced(self.plane.admin.clone(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        secrets
            .patch(name, &params, &patch)
            .await
            .map(|_| ())
            .map_err(Error::at(name))
    }

    pub async fn create(&self, migration: &Migration) -> Result<DynamicObject> {
        self.create_in(&self.namespace, migration).await
    }

    /// The same in any namespace.
    pub async fn create_in(&self, namespace: &str, migration: &Migration) -> Result<DynamicObject> {
        let Migration { name, phone, spec } = migration;
        self.note(format!("create {name} for {phone}"));
        let mut body = json!({
            "apiVersion": "phonemigration.dev/v1alpha1",
            "kind": "PhoneMigration",
            "metadata": {"name": name},
            "spec": {
                "custSpaceId": "29348393884",
                "phoneNumber": phone,
                "verifyCodeSecretRef": {"name": format!("{name}-code")},
            },
        });
        if let (Some(into), Some(from)) = (body["spec"].as_object_mut(), spec.as_object()) {
            into.extend(from.clone());
        }
        let object: DynamicObject = serde_json::from_value(body).map_err(Error::at("manifest"))?;
        locked(&self.numbers).insert(phone.clone());
        let api = self.migrations_in(namespace);
        api.create(&PostParams::default(), &object)
            .await
            .map_err(Error::at(format!("PhoneMigration {name}")))
    }

    /// Creates number, Secret and PhoneMigration, which become verified if nothing fails.
    pub async fn ready_migration(&self, name: &str, phone: &str, code: &str) -> Result<()> {
        self.number(phone, code, &format!("id-{phone}"));
        self.code(name, code).await?;
        self.create(&Migration::new(name, phone)).await.map(|_| ())
    }

    pub async fn get(&self, name: &str) -> Result<DynamicObject> {
        self.migrations().get(name).await.map_err(Error::at(name))
    }

    /// Merges `patch` into the PhoneMigration.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<DynamicObject> {
        self.note(format!("patch {name}: {patch}"));
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.migrations()
            .patch(name, &params, &patch)
            .await
            .map_err(Error::at(name))
    }

    /// Merges `patch` into the status, as another client with rights to it.
    pub async fn patch_status(&self, name: &str, status: Value) -> Result<DynamicObject> {
        self.note(format!("patch status of {name}"));
        let (params, patch) = (
            PatchParams::default(),
            Patch::Merge(json!({"status": status})),
        );
        self.migrations()
            .patch_status(name, &params, &patch)
            .await
            .map_err(Error::at(name))
    }

    /// Sets the annotation that makes the operator reconcile at once.
    pub async fn request(&self, name: &str, value: &str) -> Result<()> {
        let annotations = json!({"phonemigration.dev/requestedAt": value});
        self.patch(name, json!({"metadata": {"annotations": annotations}}))
            .await
            .map(|_| ())
    }

    pub async fn delete(&self, name: &str) -> Result<()> {
        self.note(format!("delete {name}"));
        let params = DeleteParams::default();
        self.migrations()
            .delete(name, &params)
            .await
            .map(|_| ())
            .map_err(Error::at(name))
    }

    /// Waits until the PhoneMigration satisfies `holds`, and returns it.
    /// The error has its last state.
    pub async fn until(
        &self,
        name: &str,
        within: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.until_in(&self.namespace, name, within, holds).await
    }

    /// The same in any namespace.
    pub async fn until_in(
        &self,
        namespace: &str,
        name: &str,
        within: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let api = self.migrations_in(namespace);
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let object = api.get(name).await.map_err(Error::at(name))?;
            let status = object.data.get("status").cloned().unwrap_or_default();
            if holds(&status) {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new(
                    format!("{name} did not get there within {within:?}"),
                    status,
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for a reason, at most 30 s.
    pub async fn until_reason(&self, name: &str, wanted: &str) -> Result<Value> {
        self.until(name, Duration::from_secs(30), |status| {
            reason(status) == wanted
        })
        .await
    }
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("phonemigration.dev", "v1alpha1", "PhoneMigration");
    ApiResource::from_gvk_with_plural(&kind, "phonemigrations")
}

pub fn reason(status: &Value) -> &str {
    status["reason"].as_str().unwrap_or_default()
}

/// The message of the Ready condition.
pub fn message(status: &Value) -> &str {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    ready
        .and_then(|condition| condition["message"].as_str())
        .unwrap_or_default()
}

/// The status of a condition: `True`, `False`, or empty.
pub fn condition<'a>(status: &'a Value, type_: &str) -> &'a str {
    let conditions = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|c| c["type"] == type_)
        .and_then(|c| c["status"].as_str())
        .unwrap_or_default()
}
