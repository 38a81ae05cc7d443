//! The control plane that the tests of one binary share, with the CRD and the shipped RBAC.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use control_plane::{ControlPlane, Options};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};

/// The namespace and the ServiceAccount of the shipped manifests.
const OPERATOR_NAMESPACE: &str = "phone-migration-operator";
const SERVICE_ACCOUNT: &str = "phone-migration-operator";

/// A control plane with everything installed.
pub struct Plane {
    /// The control plane.
    pub control: Arc<ControlPlane>,
    /// Client with all rights, of the runtime that asked.
    pub admin: kube::Client,
    user: String,
    token: String,
}

impl Plane {
    /// A control plane on which the operator was installed already, to run as this ServiceAccount.
    ///
    /// # Errors
    /// When there is no token for it.
    pub async fn of(
        control: Arc<ControlPlane>,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self> {
        let admin = control
            .admin_client()
            .await
            .map_err(Error::at("admin client"))?;
        let token = control
            .service_account_token(namespace, service_account, Duration::from_secs(6 * 3600))
            .await
            .map_err(Error::at("ServiceAccount token"))?;
        Ok(Self {
            control,
            admin,
            user: format!("system:serviceaccount:{namespace}:{service_account}"),
            token,
        })
    }

    /// The user that the operator is.
    pub fn operator_user(&self) -> String {
        self.user.clone()
    }

    /// The token of the operator's ServiceAccount.
    pub fn operator_token(&self) -> &str {
        &self.token
    }

    /// Writes a kubeconfig that holds nothing but the operator's token, for the API server or a
    /// proxy in front of it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn operator_kubeconfig(&self, path: &Path, server: &str) -> Result<()> {
        self.control
            .write_kubeconfig_for(path, server, &self.token)
            .map_err(Error::at("operator kubeconfig"))
    }
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// The control plane of this test binary; started on first use, ended with the process.
/// Every caller gets a client of its own: a client works in the runtime that made it, and
/// every test has one.
///
/// # Errors
/// When it cannot be started: the error says what is missing.
pub async fn plane() -> Result<Arc<Plane>> {
    static SHARED: OnceCell<(Plane, Child)> = OnceCell::const_new();
    let start = || async {
        let dir = TempDir::new()
            .map_err(Error::at("temporary folder"))?
            .keep();
        let remover = removed_at_the_end(&dir)?;
        let control = ControlPlane::start(&dir, Options::default())
            .await
            .map_err(Error::at("control plane"))?;
        Ok((install(control).await?, remover))
    };
    let (shared, _) = SHARED.get_or_try_init(start).await?;
    let admin = shared
        .control
        .admin_client()
        .await
        .map_err(Error::at("admin client"))?;
    Ok(Arc::new(Plane {
        control: Arc::clone(&shared.control),
        admin,
        user: shared.user.clone(),
        token: shared.token.clone(),
    }))
}

/// Removes a folder when this process has ended, however it ends: a `static` is never dropped.
/// The child waits for the end of a pipe that we hold, and a while longer for those that write.
fn removed_at_the_end(dir: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"read -r _; for pause in 1 2 5; do sleep $pause; rm -rf -- "$1"; done"#;
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "remover"])
        .arg(dir)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::at("temporary folder"))
}

/// Installs the CRD and the shipped namespace, ServiceAccount and RBAC.
///
/// # Errors
/// When the API server refuses one of them.
pub async fn install(control: ControlPlane) -> Result<Plane> {
    let top = repository();
    for file in [
        "crds/phonemigrations.yaml",
        "deploy/namespace.yaml",
        "deploy/service-account.yaml",
        "deploy/rbac.yaml",
    ] {
        let path = top.join(file);
        let path = path.to_string_lossy();
        control
            .kubectl_ok(&["apply", "-f", &path])
            .await
            .map_err(Error::at(file))?;
    }
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/phonemigrations.phonemigration.dev",
    ];
    control
        .kubectl_ok(&established)
        .await
        .map_err(Error::at("CRD"))?;
    Plane::of(Arc::new(control), OPERATOR_NAMESPACE, SERVICE_ACCOUNT).await
}
