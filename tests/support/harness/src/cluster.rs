//! The control plane that the tests of one binary share, with the CRDs and the shipped RBAC.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use control_plane::{ControlPlane, Options};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, Subject};
use kube::api::{Api, ObjectMeta, PostParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};

/// The namespace and the ServiceAccount of the shipped manifests.
pub(crate) const OPERATOR_NAMESPACE: &str = "phone-migration-operator";
pub(crate) const SERVICE_ACCOUNT: &str = "phone-migration-operator";
/// The Role, and its binding, of the shipped manifests for CodeLedgers.
const LEDGER_ROLE: &str = "phone-migration-operator-ledger";
/// How long the authorizer gets to learn of a right.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A control plane with the CRDs and RBAC installed.
pub struct Plane {
    pub control: Arc<ControlPlane>,
    /// Client with all rights, of the caller's runtime.
    pub admin: kube::Client,
    account: Subject,
    token: String,
}

impl Plane {
    /// A control plane with the operator already installed, to run as this ServiceAccount.
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
            account: Subject {
                kind: "ServiceAccount".to_owned(),
                name: service_account.to_owned(),
                namespace: Some(namespace.to_owned()),
                ..Subject::default()
            },
            token,
        })
    }

    pub fn operator_user(&self) -> String {
        let namespace = self.account.namespace.as_deref().unwrap_or_default();
        format!("system:serviceaccount:{namespace}:{}", self.account.name)
    }

    /// Gives the operator the shipped rights on CodeLedgers in this namespace too, and waits until
    /// the API server enforces them.
    pub async fn grant_ledgers(&self, namespace: &str) -> Result<()> {
        let role: Role = shipped("Role", LEDGER_ROLE)?;
        let binding: RoleBinding = shipped("RoleBinding", LEDGER_ROLE)?;
        let role = Role {
            metadata: named(LEDGER_ROLE),
            ..role
        };
        let binding = RoleBinding {
            metadata: named(LEDGER_ROLE),
            subjects: Some(vec![self.account.clone()]),
            ..binding
        };
        let (admin, params) = (&self.admin, PostParams::default());
        let roles: Api<Role> = Api::namespaced(admin.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
        let created = roles.create(&params, &role).await.map(drop);
        created.map_err(Error::at(LEDGER_ROLE))?;
        let created = bindings.create(&params, &binding).await.map(drop);
        created.map_err(Error::at(LEDGER_ROLE))?;
        self.until_granted(namespace).await
    }

    /// The authorizer sees a new binding after a moment.
    async fn until_granted(&self, namespace: &str) -> Result<()> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.operator_user()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("phonemigration.dev".to_owned()),
                    resource: Some("codeledgers".to_owned()),
                    verb: Some("create".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin.clone());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.map_err(Error::at("SubjectAccessReview"))?.status;
            if status.is_some_and(|status| status.allowed) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new("rights on CodeLedgers", "not known in time"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The token of the operator's ServiceAccount.
    pub fn operator_token(&self) -> &str {
        &self.token
    }

    /// Writes a kubeconfig with only the operator's token, for the API server or a proxy in front
    /// of it.
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

/// The control plane of this test binary; started on first use, ended with the process. Every
/// caller gets its own client: a client works in the runtime that made it, and every test has one.
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
        account: shared.account.clone(),
        token: shared.token.clone(),
    }))
}

/// Removes a folder when this process has ended, however it ends: a `static` is never dropped. The
/// child waits for the end of a pipe that this process holds, and a while longer for processes that
/// still write.
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

/// The object of this kind and name in the shipped `rbac.yaml`.
fn shipped<T: DeserializeOwned>(kind: &str, name: &str) -> Result<T> {
    let text = std::fs::read_to_string(repository().join("deploy/rbac.yaml"));
    let text = text.map_err(Error::at("deploy/rbac.yaml"))?;
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = Value::deserialize(document).map_err(Error::at("deploy/rbac.yaml"))?;
        if object["kind"] == kind && object["metadata"]["name"] == name {
            return serde_json::from_value(object).map_err(Error::at(name));
        }
    }
    Err(Error::new("deploy/rbac.yaml", format!("no {kind} {name}")))
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// Installs the CRDs and the shipped namespace, ServiceAccount and RBAC.
pub async fn install(control: ControlPlane) -> Result<Plane> {
    let top = repository();
    for file in [
        "crds",
        "deploy/namespace.yaml",
        "deploy/service-account.yaml",
        "deploy/rbac.yaml",
        "deploy/code-desk-role.yaml",
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
        "crd/codeledgers.phonemigration.dev",
        "crd/phonemigrations.phonemigration.dev",
    ];
    control
        .kubectl_ok(&established)
        .await
        .map_err(Error::at("CRDs"))?;
    Plane::of(Arc::new(control), OPERATOR_NAMESPACE, SERVICE_ACCOUNT).await
}
