//! Access to the cluster: kubeconfigs, clients, tokens, kubectl and the audit log.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use crate::pki::write_private;
use crate::{AuditEntry, ControlPlane, Error};

/// How often a condition is checked again.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// Makes ring the process's TLS provider, unless one is installed already.
/// rustls refuses to choose by itself; everything here calls this first.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl ControlPlane {
    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver.number)
    }

    /// The certificate of the CA that signed the apiserver's, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The apiserver's certificate and key, in PEM: a proxy in front of it needs them so that
    /// clients with these kubeconfigs trust it (127.0.0.1 and localhost, any port).
    pub fn serving_certificate(&self) -> (PathBuf, PathBuf) {
        (self.pki.serving_certificate(), self.pki.serving_key())
    }

    /// Plain HTTP; etcd's gRPC gateway (such as `/v3/kv/compaction`) is there too.
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd.number)
    }

    /// One JSON event per line; see [`Self::audit_entries`].
    pub fn audit_log_path(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The kubectl that belongs to this apiserver.
    pub fn kubectl_path(&self) -> PathBuf {
        self.assets.kubectl()
    }

    /// The administrator's kubeconfig file (user [`crate::ADMIN_USER`], group
    /// `system:masters`).
    pub fn admin_kubeconfig_path(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The administrator's kubeconfig, parsed.
    pub fn admin_kubeconfig(&self) -> Result<Kubeconfig, Error> {
        Ok(Kubeconfig::read_from(self.admin_kubeconfig_path())?)
    }

    /// A client with every right. It belongs to the caller's runtime, so make one per test.
    pub async fn admin_client(&self) -> Result<Client, Error> {
        self.client(&self.pki.admin_token()?).await
    }

    /// A client that shows `token`.
    pub async fn client(&self, token: &str) -> Result<Client, Error> {
        client_of(self.config(token).await?)
    }

    pub(crate) async fn config(&self, token: &str) -> Result<Config, Error> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(&self.url(), token))?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // kube takes HTTPS_PROXY from the environment even for loopback.
        config.proxy_url = None;
        Ok(config)
    }

    /// A token of a service account from the TokenRequest API, asked for as the
    /// administrator. The account must exist. The apiserver gives at least ten
    /// minutes.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        duration: Duration,
    ) -> Result<String, Error> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin_client().await?, namespace);
        let account = format!("{namespace}/{name}");
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(format!(
                "get a token for service account {account}"
            )))?;
        answer
            .status
            .map(|status| status.token)
            .ok_or(Error::NoToken { account })
    }

    /// Writes a kubeconfig file, readable by its owner only, that shows `token` to this apiserver.
    /// Its namespace is `default`.
    pub fn write_kubeconfig(&self, path: &Path, token: &str) -> Result<(), Error> {
        self.write_kubeconfig_for(path, &self.url(), token)
    }

    /// The same for another `server` URL, such as that of a proxy that uses
    /// [`Self::serving_certificate`].
    pub fn write_kubeconfig_for(
        &self,
        path: &Path,
        server: &str,
        token: &str,
    ) -> Result<(), Error> {
        write_private(path, &self.kubeconfig(server, token))
    }

    fn kubeconfig(&self, server: &str, token: &str) -> String {
        let ca = STANDARD.encode(&self.ca_pem);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: control-plane\n\
             clusters:\n- name: control-plane\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\n\
             users:\n- name: user\n  user:\n    token: {token}\n\
             contexts:\n- name: control-plane\n  context:\n    cluster: control-plane\n    \
             user: user\n    namespace: default\n"
        )
    }

    /// Runs kubectl as the administrator, or as the user of the argument `--kubeconfig`, and
    /// returns its output, also when kubectl fails.
    pub async fn kubectl<A: AsRef<str>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output, Error> {
        self.kubectl_with_input(args, "").await
    }

    /// The same with `input` on its standard input, for `apply -f -`.
    pub async fn kubectl_with_input<A: AsRef<str>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<Output, Error> {
        let program = self.kubectl_path();
        let mut child = Command::new(&program)
            .args(
                args.into_iter()
                    .map(|argument| argument.as_ref().to_owned()),
            )
            .env("KUBECONFIG", self.admin_kubeconfig_path())
            // Neither reads nor writes the user's own ~/.kube.
            .env("KUBECACHEDIR", self.dir.join("kubectl-cache"))
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("run", &program))?;
        let stdin = child.stdin.take();
        let write = async move {
            if let Some(mut stdin) = stdin {
                // kubectl may end without reading all of it; its exit status shows errors.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        // Both at once: it may fill its output before it has read its input.
        let ((), output) = tokio::join!(write, child.wait_with_output());
        output.map_err(Error::io("run", &program))
    }

    /// Runs kubectl as the administrator and returns its standard output.
    pub async fn kubectl_ok<A: AsRef<str>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String, Error> {
        let args: Vec<String> = args
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        succeeded(&args, self.kubectl(&args).await?)
    }

    /// `kubectl apply -f -` as the administrator; returns its standard output.
    pub async fn apply(&self, manifests: &str) -> Result<String, Error> {
        let args = ["apply".to_owned(), "-f".to_owned(), "-".to_owned()];
        succeeded(&args, self.kubectl_with_input(&args, manifests).await?)
    }

    /// The entries of all requests so far that are `wanted`, also of earlier runs in the same
    /// directory. A request that was just answered may still be missing: the API server writes the
    /// line right after the answer. To wait for one: [`Self::audit_until`].
    pub fn audit_entries(
        &self,
        wanted: impl Fn(&AuditEntry) -> bool,
    ) -> Result<Vec<AuditEntry>, Error> {
        self.audited(|entries| entries.iter().filter(|e| wanted(e)).cloned().collect())
    }

    /// The result of `of` on all entries so far.
    fn audited<T>(&self, of: impl FnOnce(&[AuditEntry]) -> T) -> Result<T, Error> {
        let mut log = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        log.read(&self.audit_log_path()).map(of)
    }

    /// Reads the audit log until `holds` is true, and returns it. `what` is for the error: "did not
    /// show WHAT within 5 s".
    pub async fn audit_until(
        &self,
        what: &str,
        timeout: Duration,
        mut holds: impl FnMut(&[AuditEntry]) -> bool,
    ) -> Result<Vec<AuditEntry>, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            let found = self.audited(|entries| holds(entries).then(|| entries.to_vec()))?;
            if let Some(entries) = found {
                return Ok(entries);
            }
            if Instant::now() >= deadline {
                let (path, seconds) = (self.audit_log_path(), timeout.as_secs());
                return Err(Error::AuditWait {
                    path,
                    what: what.to_owned(),
                    seconds,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

pub(crate) fn client_of(config: Config) -> Result<Client, Error> {
    install_crypto_provider();
    Client::try_from(config).map_err(Error::kube("make a client"))
}

fn succeeded(args: &[String], output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Kubectl {
        args: args.join(" "),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned(),
    })
}
