//! kubeconform and a server-side dry run on all rendered objects.
//!
//! kubeconform would fetch the schemas of Kubernetes from the network. Here they are made from the
//! API server's own documents (`/openapi/v3`): those of this version, of the operator's CRDs and of
//! the Prometheus Operator's, which are installed first.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::control_plane::Options;
use harness::{ControlPlane, repository};
use serde_json::Map;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::helm::{Helm, NAME, all_ci, ci, only, path, tools};
use super::*;

/// The groups and versions of the chart and the samples.
const GROUP_VERSIONS: [&str; 8] = [
    "api/v1",
    "apis/apps/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/monitoring.coreos.com/v1",
    "apis/networking.k8s.io/v1",
    "apis/phonemigration.dev/v1alpha1",
    "apis/policy/v1",
    "apis/rbac.authorization.k8s.io/v1",
];

const REFERENCE: &str = "#/components/schemas/";

/// An API server that knows every kind that the chart renders.
async fn everything(dir: &Path) -> ControlPlane {
    let control = ControlPlane::start(dir, Options::default()).await.unwrap();
    let crds = repository().join("crds");
    let monitoring = cluster_tools::monitoring_crds().unwrap();
    let own = ["codeledgers.yaml", "phonemigrations.yaml"].map(|name| crds.join(name));
    for file in own.iter().chain(&monitoring) {
        // Server-side: these CRDs are too large for the annotation of client-side apply.
        let args = ["apply", "--server-side", "-f", path(file)];
        control.kubectl_ok(&args).await.unwrap();
    }
    let established = "wait --for=condition=Established --timeout=30s crd --all";
    control.kubectl_ok(established.split(' ')).await.unwrap();
    control
}

/// Writes one schema for each kind, named as kubeconform asks for it.
async fn schemas(control: &ControlPlane, to: &Path) {
    for group_version in GROUP_VERSIONS {
        let document = published(control, group_version).await;
        let mut schemas = document["components"]["schemas"].clone();
        strict(&mut schemas);
        for (name, schema) in schemas.as_object().unwrap() {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            for kind in kinds.into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap().to_lowercase();
                let group = text("group");
                let group = group.split('.').next().unwrap_or_default();
                let file = [&text("kind"), group, &text("version")]
                    .into_iter()
                    .filter(|word| !word.is_empty())
                    .collect::<Vec<&str>>()
                    .join("-");
                let whole = json!({
                    "allOf": [{"$ref": format!("{REFERENCE}{name}")}],
                    "components": {"schemas": reachable(&schemas, name)},
                });
                fs::write(to.join(format!("{file}.json")), whole.to_string()).unwrap();
            }
        }
    }
}

/// All schemas that this one refers to, directly or not, and itself.
fn reachable(schemas: &Value, name: &str) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        if !found.contains_key(&name) {
            let schema = schemas[&name].clone();
            references(&schema, &mut open);
            found.insert(name, schema);
        }
    }
    found
}

fn references(schema: &Value, to: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|r| r.strip_prefix(REFERENCE));
            to.extend(name.map(str::to_owned));
            map.values().for_each(|value| references(value, to));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document of a group and version. A CRD's document comes some moments after it is
/// established.
async fn published(control: &ControlPlane, group_version: &str) -> Value {
    let url = format!("/openapi/v3/{group_version}");
    let mut document = Value::Null;
    let there = async || {
        let output = control.kubectl(["get", "--raw", &url]).await.unwrap();
        document = serde_json::from_slice(&output.stdout).unwrap_or_default();
        output.status.success()
    };
    until_asked(&url, there).await;
    document
}

/// An unknown field is an error, as in the API server's strict validation.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let open = [
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            ];
            if map.get("properties").is_some_and(Value::is_object)
                && map.get("type") == Some(&json!("object"))
                && !open.iter().any(|key| map.contains_key(*key))
            {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(list) => list.iter_mut().for_each(strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The state that the tests of this file share.
struct Judge {
    control: ControlPlane,
    dir: TempDir,
    asked: AtomicU32,
}

async fn judge() -> &'static Judge {
    static SHARED: OnceCell<Judge> = OnceCell::const_new();
    SHARED.get_or_init(Judge::new).await
}

impl Judge {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let control = everything(&dir.path().join("control-plane")).await;
        fs::create_dir(dir.path().join("schemas")).unwrap();
        schemas(&control, &dir.path().join("schemas")).await;
        for namespace in [NAME, "tenant-a", "tenant-b"] {
            let args = ["create", "namespace", namespace];
            control.kubectl_ok(args).await.unwrap();
        }
        Self {
            control,
            dir,
            asked: AtomicU32::new(0),
        }
    }

    async fn kubeconform(&self, yaml: &str) -> Output {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.path().join(format!("{n}.yaml"));
        fs::write(&file, yaml).unwrap();
        let location = "schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json";
        Command::new(tools().await.kubeconform())
            .args(["-strict", "-summary", "-output=json", "-verbose"])
            .arg("-schema-location")
            .arg(self.dir.path().join(location))
            .arg(file)
            .output()
            .await
            .unwrap()
    }

    async fn conforms(&self, what: &str, yaml: &str) {
        let output = self.kubeconform(yaml).await;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{what}: {said:#}");
        let summary = &said["summary"];
        assert!(summary["valid"].as_u64().unwrap() > 0, "{what}: {said:#}");
        for key in ["invalid", "errors", "skipped"] {
            assert_eq!(summary[key], 0, "{what}: {said:#}");
        }
    }

    /// Asserts that only the mistake is found.
    async fn refuses(&self, yaml: &str, right: &str, wrong: &str) {
        assert!(yaml.contains(right), "{right}");
        let output = self.kubeconform(&yaml.replace(right, wrong)).await;
        assert!(!output.status.success(), "{wrong}");
    }

    /// Whether this pod may be created, and the objections.
    async fn admit(&self, pod: &Value) -> Result<(), String> {
        let args = ["create", "--dry-run=server", "-f", "-"];
        let pod = pod.to_string();
        let output = self.control.kubectl_with_input(args, &pod).await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        match output.status.success() && !error.contains("PodSecurity") {
            true => Ok(()),
            false => Err(error),
        }
    }
}

#[tokio::test]
async fn everything_conforms_and_the_api_server_takes_it() {
    let (judge, helm) = (judge().await, Helm::without_cluster().await);
    let dry_run = "apply --server-side --dry-run=server --validate=strict -f -";
    for name in all_ci() {
        let yaml = helm.template(&["--values", &ci(&name)]).await;
        judge.conforms(&name, &yaml).await;
        let output = judge
            .control
            .kubectl_with_input(dry_run.split(' '), &yaml)
            .await;
        let output = output.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {error}");
        assert!(!error.to_lowercase().contains("warning"), "{name}: {error}");
    }
}

#[tokio::test]
async fn what_kustomize_builds_and_the_samples_conform() {
    let judge = judge().await;
    let base = repository().join("deploy");
    let args = ["kustomize", path(&base)];
    let built = judge.control.kubectl_ok(args).await.unwrap();
    judge.conforms("kustomize", &built).await;
    for sample in ["phone-migration.yaml", "secret.yaml"] {
        let text = fs::read_to_string(base.join("samples").join(sample)).unwrap();
        judge.conforms(sample, &text).await;
    }
}

/// Otherwise "conforms" would prove nothing.
#[tokio::test]
async fn a_mistake_in_a_manifest_is_found() {
    let (judge, helm) = (judge().await, Helm::without_cluster().await);
    let yaml = helm.template(&["--values", &ci("full")]).await;
    for (right, wrong) in [
        ("runAsNonRoot: true", "runAsNonRot: true"),
        ("replicas: 3", "replicas: three"),
        ("maxUnavailable: 1", "maxUnavailabel: 1"),
        ("policyTypes: [Ingress, Egress]", "policyTypes: Egress"),
        ("roleRef:", "rolRef:"),
        ("endpoints:", "endpoint:"),
        ("alert: PhoneMigrationThrottled", "alrt: X"),
        ("kind: Deployment", "kind: Deploymnt"),
    ] {
        judge.refuses(&yaml, right, wrong).await;
    }
    let sample = repository().join("deploy/samples/phone-migration.yaml");
    let sample = fs::read_to_string(sample).unwrap();
    for (right, wrong) in [
        ("\"8613800001234\"", "\"+8613800001234\""),
        ("\"8613800001234\"", "8613800001234"),
        ("custSpaceId: ", "custSpace: "),
        ("name: store-42-code", "name: Store"),
    ] {
        judge.refuses(&sample, right, wrong).await;
    }
}

/// The Pod Security Standard, judged by the API server's own admission: in a namespace that
/// enforces "restricted", each rendered pod is admitted, and one that is not confined is refused.
#[tokio::test]
async fn each_pod_is_admitted_as_restricted() {
    let (judge, helm) = (judge().await, Helm::without_cluster().await);
    let namespace = fs::read_to_string(repository().join("deploy/namespace.yaml")).unwrap();
    judge.control.apply(&namespace).await.unwrap();
    let mut seen = BTreeSet::new();
    for name in all_ci() {
        let objects = helm.ci(&name).await;
        let spec = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        let account = spec["serviceAccountName"].as_str().unwrap();
        if seen.insert(account.to_owned()) {
            let args = ["-n", NAME, "create", "serviceaccount", account];
            judge.control.kubectl_ok(args).await.unwrap();
        }
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": "pod", "namespace": NAME}});
        let admitted = judge.admit(&pod).await;
        assert!(admitted.is_ok(), "{name}: {admitted:?}");
        pod["spec"]["containers"][0]["securityContext"] = json!({});
        let why = judge.admit(&pod).await.unwrap_err();
        assert_says(&why, &["violates PodSecurity \"restricted"]);
    }
}
