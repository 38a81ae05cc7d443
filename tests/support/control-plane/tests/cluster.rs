//! The control plane's features for tests: kubectl, RBAC, tokens, the audit log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_plane::{ADMIN_USER, AuditEntry, ControlPlane, Error, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

const SOON: Duration = Duration::from_secs(10);
const CODE: &str = "604213";

async fn start() -> (ControlPlane, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap();
    (control_plane, dir)
}

/// Runs kubectl with these words as its arguments.
async fn kubectl(control_plane: &ControlPlane, words: &str) -> String {
    let shown = control_plane.kubectl_ok(words.split(' ')).await;
    shown.unwrap()
}

fn status<T>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn kubectl_makes_and_shows_objects() {
    let (control_plane, _dir) = start().await;
    kubectl(&control_plane, "create namespace tenant-a").await;
    control_plane
        .apply("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: shop, namespace: tenant-a}, data: {open: always}}")
        .await
        .unwrap();
    let get = "-n tenant-a get configmap shop -o jsonpath={.data.open}";
    assert_eq!(kubectl(&control_plane, get).await, "always");

    let version = kubectl(&control_plane, "version -o json").await;
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    let [client, server] = ["clientVersion", "serverVersion"].map(|side| &version[side]);
    assert_eq!(client["gitVersion"], server["gitVersion"]);
    // Not v0.0.0, the version of a build without the linker flags.
    let [git, major, minor] =
        ["gitVersion", "major", "minor"].map(|key| server[key].as_str().unwrap());
    let expected = format!("v{major}.{minor}.");
    assert!(major == "1" && git.starts_with(&expected), "{server}");

    let refused = control_plane
        .kubectl_ok(["get", "namespace", "nowhere"])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Kubectl { stderr, .. } if stderr.contains("not found")),
        "{refused}"
    );
}

// Without the first line, kubectl 1.31 takes a brace for the start of JSON.
const READER: &str = r#"---
{apiVersion: v1, kind: Namespace, metadata: {name: tenant-a}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: tenant-a}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: tenant-a}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: tenant-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: tenant-a}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: shop, namespace: tenant-a}}
---
{apiVersion: v1, kind: Secret, metadata: {name: code, namespace: tenant-a}, stringData: {code: "604213"}}
"#;

#[tokio::test]
async fn a_service_account_token_is_limited_by_rbac_and_named_in_the_audit_log() {
    let (control_plane, dir) = start().await;
    control_plane.apply(READER).await.unwrap();
    let token = control_plane
        .service_account_token("tenant-a", "reader", Duration::from_secs(3600))
        .await
        .unwrap();

    let client = control_plane.client(&token).await.unwrap();
    let configmaps: Api<ConfigMap> = Api::namespaced(client.clone(), "tenant-a");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "tenant-a");
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "default");
    assert_eq!(status(configmaps.get("shop").await), 200);
    assert_eq!(status(configmaps.list(&Default::default()).await), 403);
    assert_eq!(status(secrets.get("code").await), 403);
    assert_eq!(status(elsewhere.get("shop").await), 403);

    // The same for a program that is given a kubeconfig.
    let kubeconfig = dir.path().join("reader.kubeconfig");
    control_plane.write_kubeconfig(&kubeconfig, &token).unwrap();
    let who = format!(
        "--kubeconfig {} auth whoami -o jsonpath={{.status.userInfo.username}}",
        kubeconfig.display()
    );
    let reader = "system:serviceaccount:tenant-a:reader";
    assert_eq!(kubectl(&control_plane, &who).await, reader);

    let of_reader =
        |entry: &&AuditEntry| entry.user == reader && entry.resource != "selfsubjectreviews";
    let entries = control_plane
        .audit_until("four requests of the reader", SOON, |entries| {
            entries.iter().filter(of_reader).count() >= 4
        })
        .await
        .unwrap();
    let seen: Vec<_> = entries
        .iter()
        .filter(of_reader)
        .map(|e| {
            format!(
                "{} {} {}/{} {}",
                e.verb, e.resource, e.namespace, e.name, e.code
            )
        })
        .collect();
    let expected = [
        "get configmaps tenant-a/shop 200",
        "list configmaps tenant-a/ 403",
        "get secrets tenant-a/code 403",
        "get configmaps default/shop 403",
    ];
    assert_eq!(seen, expected);
    let by_admin = |entry: &&AuditEntry| {
        entry.user == ADMIN_USER && entry.resource == "secrets" && entry.name == "code"
    };
    let first = entries.iter().find(by_admin).map(|entry| entry.code);
    assert_eq!(first, Some(404), "apply looks first");

    let log = std::fs::read_to_string(control_plane.audit_log_path()).unwrap();
    for value in [CODE, "NjA0MjEz"] {
        assert!(!log.contains(value), "the log shows a Secret's value");
    }
}

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: phonemigrations.phonemigration.dev}
spec:
  group: phonemigration.dev
  names: {kind: PhoneMigration, plural: phonemigrations}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

#[tokio::test]
async fn the_audit_log_keeps_the_body_of_status_writes_only() {
    let (control_plane, _dir) = start().await;
    control_plane.apply(DEFINITION).await.unwrap();
    let resource = "phonemigrations.phonemigration.dev";
    let wait = format!("wait --for=condition=Established crd/{resource}");
    kubectl(&control_plane, &wait).await;
    control_plane.apply("---\n{apiVersion: phonemigration.dev/v1alpha1, kind: PhoneMigration, metadata: {name: store}}").await.unwrap();
    let patch =
        format!(r#"patch {resource} store --type=merge -p {{"status":{{"reason":"Verified"}}}}"#);
    kubectl(&control_plane, &format!("{patch} --subresource=status")).await;
    kubectl(&control_plane, &patch).await;

    let of_store = |entry: &&AuditEntry| {
        entry.group == "phonemigration.dev" && entry.name == "store" && entry.verb == "patch"
    };
    let entries = control_plane
        .audit_until("two patches", SOON, |entries| {
            entries.iter().filter(of_store).count() == 2
        })
        .await
        .unwrap();
    let bodies: Vec<_> = entries
        .iter()
        .filter(of_store)
        .map(|entry| (entry.subresource.as_str(), entry.request_object.clone()))
        .collect();
    let body = serde_json::json!({"status": {"reason": "Verified"}});
    assert_eq!(bodies, [("status", Some(body)), ("", None)]);
}

#[tokio::test]
async fn clients_verify_the_apiservers_certificate() {
    let (control_plane, _dir) = start().await;
    let admin = control_plane.admin_kubeconfig().unwrap();
    assert_eq!(kubernetes_answer(admin.clone()).await.unwrap(), "ok");

    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let other_ca = params
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap()
        .pem();
    let mut wrong = admin;
    let cluster = wrong.clusters[0].cluster.as_mut().unwrap();
    cluster.certificate_authority_data = Some(STANDARD.encode(other_ca));
    let error = kubernetes_answer(wrong).await.unwrap_err();
    let mut chain = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        chain.push_str(&format!("{error}: "));
        cause = error.source();
    }
    assert!(chain.contains("certificate"), "{chain}");
}

async fn kubernetes_answer(kubeconfig: Kubeconfig) -> Result<String, kube::Error> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    control_plane::install_crypto_provider();
    let client = Client::try_from(config)?;
    client
        .request_text(http::Request::get("/readyz").body(Vec::new()).unwrap())
        .await
}
