//! One namespace, one simulated account, and operators.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cams_simulator::{AccessKey, Config, Number, Simulator};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Plane, plane};
use crate::error::{Error, Result};
use crate::events::EventLog;
use crate::operator::{Launch, Operator};

/// The key of the simulated account, both parts easy to search for.
pub const ACCESS_KEY_ID: &str = "LTAI5tCanaryKeyId";
/// Searched for in everything that is written.
pub const ACCESS_KEY_SECRET: &str = "CanaryAccessKeySecret0123456789";
/// The token of worlds whose key is temporary, with characters that encodings change.
pub const SECURITY_TOKEN: &str = "CAISCanary/Security+Token0123456789==";
/// Key of the fingerprints.
pub const FINGERPRINT_KEY: [u8; 32] = *b"canary fingerprint key, 32 bytes";
/// Between two looks at the API server.
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
    /// With nothing special.
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

/// See the crate's documentation.
pub struct World {
    /// The shared control plane.
    pub plane: Arc<Plane>,
    /// The simulated account.
    pub sim: Simulator,
    /// The namespace.
    pub namespace: String,
    pub(crate) watches_secrets: AtomicBool,
    pub(crate) events: EventLog,
    binary: PathBuf,
    dir: TempDir,
    started: AtomicU32,
    secret_values: Mutex<BTreeSet<String>>,
    numbers: Mutex<BTreeSet<String>>,
}

impl World {
    /// A namespace of its own on this binary's control plane, and an account of its own.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn new(binary: impl AsRef<Path>, name: &str) -> Result<Self> {
        Self::on(plane().await?, binary, name).await
    }

    /// The same on a given control plane.
    ///
    /// # Errors
    /// When the namespace or the simulator cannot be had.
    pub async fn on(plane: Arc<Plane>, binary: impl AsRef<Path>, name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self::in_namespace(plane, binary, namespace).await
    }

    /// The same in a namespace of exactly that name, which must not exist yet.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub async fn in_namespace(
        plane: Arc<Plane>,
        binary: impl AsRef<Path>,
        namespace: impl Into<String>,
    ) -> Result<Self> {
        let namespace = namespace.into();
        let config = Config::with_key(AccessKey::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        let sim = Simulator::start(config)
            .await
            .map_err(Error::at("CAMS simulator"))?;
        let world = Self {
            plane,
            watches_secrets: AtomicBool::new(false),
            events: EventLog::new(&sim),
            sim,
            namespace,
            binary: binary.as_ref().to_owned(),
            dir: TempDir::new().map_err(Error::at("temporary folder"))?,
            started: AtomicU32::new(0),
            secret_values: Mutex::default(),
            numbers: Mutex::default(),
        };
        world.namespace(&world.namespace).await?;
        // Mounted from a Secret in the shipped manifests.
        let key = world.dir.path().join("fingerprint-key");
        std::fs::write(key, FINGERPRINT_KEY).map_err(Error::at("fingerprint key"))?;
        Ok(world)
    }

    /// Creates another namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.plane.admin.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .map(|_| ())
            .map_err(Error::at(format!("namespace {name}")))
    }

    /// From now on `finish` allows the operator to list and watch Secrets.
    pub fn allow_secret_watches(&self) {
        self.watches_secrets.store(true, Ordering::Relaxed);
    }

    /// A folder of this world.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes the account's key a temporary one, and writes it as files, as a mounted Secret has
    /// them. Returns the folder, for `--credentials-dir`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn temporary_credentials(&self) -> Result<PathBuf> {
        let key = AccessKey::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET).with_token(SECURITY_TOKEN);
        self.sim.add_key(key);
        let folder = self.dir.path().join("credentials");
        std::fs::create_dir_all(&folder).map_err(Error::at("credentials"))?;
        for (name, value) in [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET),
            ("ALIBABA_CLOUD_SECURITY_TOKEN", SECURITY_TOKEN),
        ] {
            std::fs::write(folder.join(name), value).map_err(Error::at(name))?;
        }
        Ok(folder)
    }

    /// How to start an operator for this world, with `extra` flags.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub fn launch(&self, extra: &[&str]) -> Result<Launch<'_>> {
        self.launch_via(&self.plane.control.url(), extra)
    }

    /// The same for an operator that finds the API server at `server`, such as a proxy's URL.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub fn launch_via(&self, server: &str, extra: &[&str]) -> Result<Launch<'_>> {
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        self.note(format!("operator {n} starts: {server} {extra:?}"));
        let kubeconfig = self.dir.path().join(format!("operator-{n}.kubeconfig"));
        self.plane.operator_kubeconfig(&kubeconfig, server)?;
        let key = self.dir.path().join("fingerprint-key");
        let url = self.sim.url();
        let mut args: Vec<String> = vec![
            "--allow-insecure-endpoint".into(),
            "--listen".into(),
            "127.0.0.1:0".into(),
            "--log-format".into(),
            "json".into(),
        ];
        let has = |flag: &str| extra.contains(&flag);
        if !has("--fingerprint-key-file") && !has("--no-fingerprint-key") {
            args.extend([
                "--fingerprint-key-file".into(),
                key.to_string_lossy().into_owned(),
            ]);
        }
        if !has("--cams-endpoint") {
            args.extend(["--cams-endpoint".into(), url]);
        }
        if !has("--watch-namespaces") {
            args.extend(["--watch-namespaces".into(), self.namespace.clone()]);
        }
        args.extend(
            extra
                .iter()
                .filter(|a| **a != "--no-fingerprint-key")
                .map(|a| (*a).to_owned()),
        );
        let mut env = vec![
            ("KUBECONFIG", kubeconfig.to_string_lossy().into_owned()),
            // As much as it will say: nothing secret may come out at any level.
            ("RUST_LOG", "trace".to_owned()),
        ];
        if !has("--credentials-dir") {
            env.push(("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()));
            let secret = ACCESS_KEY_SECRET.to_owned();
            env.push(("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret));
        }
        Ok(Launch {
            binary: &self.binary,
            args,
            env: env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            log: self.dir.path().join(format!("operator-{n}.log")),
        })
    }

    /// Starts an operator and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn operator(&self, extra: &[&str]) -> Result<Operator> {
        let mut operator = Operator::spawn(&self.launch(extra)?)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// The logs of every operator of this world.
    pub fn logs(&self) -> Vec<String> {
        let count = self.started.load(Ordering::Relaxed);
        let path = |n| self.dir.path().join(format!("operator-{n}.log"));
        (0..count)
            .filter_map(|n| std::fs::read_to_string(path(n)).ok())
            .collect()
    }

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

    /// Makes the number known to the simulated account.
    pub fn number(&self, phone: &str, code: &str, id: &str) {
        self.sim.add_number(Number::new(phone, code, id));
    }

    /// Creates or replaces the Secret of a migration.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn code(&self, name: &str, code: &str) -> Result<()> {
        self.secret(&format!("{name}-code"), json!({"code": code}))
            .await
    }

    /// Creates or replaces a Secret.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn secret(&self, name: &str, data: Value) -> Result<()> {
        self.secret_in(&self.namespace, name, data).await
    }

    /// The same in any namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn secret_in(&self, namespace: &str, name: &str, data: Value) -> Result<()> {
        self.remember(&data);
        self.note(format!("put Secret {name}"));
        let secrets: Api<Secret> = Api::namespaced(self.plane.admin.clone(), namespace);
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        // Keys that are no longer named must go.
        let _ = secrets.delete(name, &DeleteParams::default()).await;
        let secret: Secret = serde_json::from_value(manifest).map_err(Error::at("Secret"))?;
        secrets
            .create(&PostParams::default(), &secret)
            .await
            .map(|_| ())
            .map_err(Error::at(format!("Secret {name}")))
    }

    /// Whatever stands in a Secret is searched for in the end, whether or not it was sent; but a
    /// time is no secret, and one character over and over occurs by chance.
    fn remember(&self, data: &Value) {
        let values = data.as_object().into_iter().flatten();
        let secret = values
            .filter_map(|(_, value)| value.as_str())
            .filter(|value| {
                let first = value.chars().next();
                let is_time = value.parse::<jiff::Timestamp>().is_ok();
                !is_time && value.chars().any(|c| Some(c) != first)
            });
        let mut known = self
            .secret_values
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.extend(secret.map(str::to_owned));
    }

    /// What was put into Secrets.
    pub(crate) fn secret_values(&self) -> BTreeSet<String> {
        let known = self
            .secret_values
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn remember_number(&self, number: &str) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.insert(number.to_owned());
    }

    /// The numbers of the resources that were created.
    pub(crate) fn numbers(&self) -> BTreeSet<String> {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.clone()
    }

    /// Changes a Secret in place.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch_secret(&self, name: &str, patch: Value) -> Result<()> {
        self.patch_secret_in(&self.namespace, name, patch).await
    }

    /// The same in any namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
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

    /// Creates a PhoneMigration.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, migration: &Migration) -> Result<DynamicObject> {
        self.create_in(&self.namespace, migration).await
    }

    /// The same in any namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
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
        self.remember_number(phone);
        let api = self.migrations_in(namespace);
        api.create(&PostParams::default(), &object)
            .await
            .map_err(Error::at(format!("PhoneMigration {name}")))
    }

    /// Number, Secret and PhoneMigration at once: what becomes verified if nothing goes wrong.
    ///
    /// # Errors
    /// When the API server refuses one of them.
    pub async fn ready_migration(&self, name: &str, phone: &str, code: &str) -> Result<()> {
        self.number(phone, code, &format!("id-{phone}"));
        self.code(name, code).await?;
        self.create(&Migration::new(name, phone)).await.map(|_| ())
    }

    /// The PhoneMigration now.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn get(&self, name: &str) -> Result<DynamicObject> {
        self.migrations().get(name).await.map_err(Error::at(name))
    }

    /// Merges `patch` into the PhoneMigration.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<DynamicObject> {
        self.note(format!("patch {name}: {patch}"));
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.migrations()
            .patch(name, &params, &patch)
            .await
            .map_err(Error::at(name))
    }

    /// Merges `patch` into the status, as somebody with rights to it.
    ///
    /// # Errors
    /// When the API server refuses it.
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

    /// Sets the annotation that makes the operator look at once.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn request(&self, name: &str, value: &str) -> Result<()> {
        let annotations = json!({"phonemigration.dev/requestedAt": value});
        self.patch(name, json!({"metadata": {"annotations": annotations}}))
            .await
            .map(|_| ())
    }

    /// Deletes the PhoneMigration.
    ///
    /// # Errors
    /// When the API server refuses it.
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
    ///
    /// # Errors
    /// When it does not within `within`; with what it was last.
    pub async fn until(
        &self,
        name: &str,
        within: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let object = self.get(name).await?;
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
    ///
    /// # Errors
    /// As [`Self::until`].
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

/// status.reason.
pub fn reason(status: &Value) -> &str {
    status["reason"].as_str().unwrap_or_default()
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
