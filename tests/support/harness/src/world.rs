//! One namespace, one simulated account, and operators.

mod objects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cams_simulator::{AccessKey, Config, Fault, FaultRule, Number, READ_STATUS, Simulator, Stage};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use tempfile::TempDir;

use crate::cluster::{Plane, plane};
use crate::error::{Error, Result};
use crate::events::{EventLog, locked};
use crate::operator::{Launch, Operator};

pub use objects::{Migration, condition, message, reason};

/// The key of the simulated account, both parts easy to search for.
pub const ACCESS_KEY_ID: &str = "LTAI5tCanaryKeyId";
/// Searched for in all output.
pub const ACCESS_KEY_SECRET: &str = "CanaryAccessKeySecret0123456789";
/// The token of worlds whose key is temporary, with characters that encodings change.
pub const SECURITY_TOKEN: &str = "CAISCanary/Security+Token0123456789==";
pub const FINGERPRINT_KEY: [u8; 32] = *b"canary fingerprint key, 32 bytes";
/// See the crate's documentation.
pub struct World {
    pub plane: Arc<Plane>,
    /// The simulated account.
    pub sim: Simulator,
    pub namespace: String,
    /// The namespace of the CodeLedgers: worlds use the same numbers.
    pub ledger_namespace: String,
    pub(crate) watches_secrets: AtomicBool,
    pub(crate) throttles: AtomicBool,
    pub(crate) other_clients: AtomicBool,
    pub(crate) refusals: AtomicBool,
    pub(crate) events: EventLog,
    binary: PathBuf,
    dir: TempDir,
    started: AtomicU32,
    secret_values: Mutex<BTreeSet<String>>,
    tokens: Mutex<BTreeSet<String>>,
    numbers: Mutex<BTreeSet<String>>,
}

impl World {
    /// A namespace of its own on this binary's control plane, and an account of its own.
    pub async fn new(binary: impl AsRef<Path>, name: &str) -> Result<Self> {
        Self::on(plane().await?, binary, name).await
    }

    /// The same on a given control plane.
    pub async fn on(plane: Arc<Plane>, binary: impl AsRef<Path>, name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self::in_namespace(plane, binary, namespace).await
    }

    /// The same in a namespace of exactly that name, which must not exist yet.
    pub async fn in_namespace(
        plane: Arc<Plane>,
        binary: impl AsRef<Path>,
        namespace: impl Into<String>,
    ) -> Result<Self> {
        let namespace = namespace.into();
        let config = Config::with_key(AccessKey::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        let sim = Simulator::start(config).map_err(Error::at("CAMS simulator"))?;
        let world = Self {
            plane,
            watches_secrets: AtomicBool::new(false),
            throttles: AtomicBool::new(false),
            other_clients: AtomicBool::new(false),
            refusals: AtomicBool::new(false),
            events: EventLog::new(&sim),
            sim,
            ledger_namespace: format!("{namespace}-ledger"),
            namespace,
            binary: binary.as_ref().to_owned(),
            dir: TempDir::new().map_err(Error::at("temporary folder"))?,
            started: AtomicU32::new(0),
            secret_values: Mutex::default(),
            tokens: Mutex::default(),
            numbers: Mutex::default(),
        };
        world.namespace(&world.namespace).await?;
        world.namespace(&world.ledger_namespace).await?;
        world.plane.grant_ledgers(&world.ledger_namespace).await?;
        // Mounted from a Secret in the shipped manifests.
        let key = world.dir.path().join("fingerprint-key");
        std::fs::write(key, FINGERPRINT_KEY).map_err(Error::at("fingerprint key"))?;
        Ok(world)
    }

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

    /// From now on the case itself judges how many calls the quota throttled.
    pub fn expect_throttles(&self) {
        self.throttles.store(true, Ordering::Relaxed);
    }

    /// From now on `finish` expects no entry for calls of numbers that have no ledger: another
    /// client of the account makes those calls.
    pub fn expect_other_clients(&self) {
        self.other_clients.store(true, Ordering::Relaxed);
    }

    /// From now on `finish` allows the API server to forbid writes of CodeLedgers: a quota or the
    /// state of their namespace forbids them, and no right is missing.
    pub fn expect_refused_ledgers(&self) {
        self.refusals.store(true, Ordering::Relaxed);
    }

    /// The path of another fingerprint key, for `--fingerprint-key-file`; one for each number.
    pub fn other_key(&self, n: u8) -> Result<String> {
        let path = self.dir.path().join(format!("other-key-{n}"));
        std::fs::write(&path, [n; 32]).map_err(Error::at("fingerprint key"))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The next `times` status reads of the number fail, so that an attempt goes on without its
    /// pre-read.
    pub fn unreadable(&self, phone: &str, times: u64) -> Result<()> {
        let error = Fault::internal_error(Stage::Received);
        let rule = FaultRule::new(error).action(READ_STATUS).phone(phone);
        let added = self.sim.add_fault(rule.times(times));
        added.map(drop).map_err(Error::at("simulator"))
    }

    /// A folder of this world.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes the account's key a temporary one, and writes it to files, as in a mounted Secret.
    /// Returns the folder, for `--credentials-dir`.
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
    pub fn launch(&self, extra: &[&str]) -> Result<Launch<'_>> {
        self.launch_via(&self.plane.control.url(), extra)
    }

    /// The same for an operator that finds the API server at `server`, such as a proxy's URL.
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
        if !has("--fingerprint-key-file") {
            args.extend([
                "--fingerprint-key-file".into(),
                key.to_string_lossy().into_owned(),
            ]);
        }
        if !has("--code-digits") {
            // Codes of eight digits do not occur by chance, so the final check searches for them.
            args.extend(["--code-digits".into(), "4-8".into()]);
        }
        if !has("--cams-endpoint") {
            args.extend(["--cams-endpoint".into(), url]);
        }
        if !has("--watch-namespaces") {
            args.extend(["--watch-namespaces".into(), self.namespace.clone()]);
        }
        if !has("--ledger-namespace") {
            args.extend(["--ledger-namespace".into(), self.ledger_namespace.clone()]);
        }
        args.extend(extra.iter().map(|a| (*a).to_owned()));
        let mut env = vec![
            ("KUBECONFIG", kubeconfig.to_string_lossy().into_owned()),
            // The most verbose log: no secret may come out at any level.
            ("RUST_LOG", "trace".to_owned()),
        ];
        if has("--credentials=oidc") {
            env.extend(self.rrsa_variables());
        } else if !has("--credentials-dir") {
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
    pub async fn operator(&self, extra: &[&str]) -> Result<Operator> {
        let mut operator = Operator::spawn(&self.launch(extra)?)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// From now on `finish` finds a leak of this token.
    pub(crate) fn remember_token(&self, token: &str) {
        locked(&self.tokens).insert(token.to_owned());
    }

    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        locked(&self.tokens).clone()
    }

    /// The logs of every operator of this world.
    pub fn logs(&self) -> Vec<String> {
        let count = self.started.load(Ordering::Relaxed);
        let path = |n| self.dir.path().join(format!("operator-{n}.log"));
        (0..count)
            .filter_map(|n| std::fs::read_to_string(path(n)).ok())
            .collect()
    }

    /// Makes the number known to the simulated account.
    pub fn number(&self, phone: &str, code: &str, id: &str) {
        self.sim.add_number(Number::new(phone, code, id));
    }
}
