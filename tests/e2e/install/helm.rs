//! Helm, without a cluster or on a control plane, and its output.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use cluster_tools::Tools;
use harness::{ControlPlane, repository};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use super::*;

/// Name of the releases here, of the chart, and of the namespace that the README installs into.
pub const NAME: &str = "phone-migration-operator";
/// Labels that only Helm's own output has.
const HELM_LABELS: [&str; 2] = ["helm.sh/chart", "app.kubernetes.io/managed-by"];

pub fn chart() -> PathBuf {
    repository().join("deploy/charts/phone-migration-operator")
}

/// A `ci/*-values.yaml` of the chart.
pub fn ci(name: &str) -> String {
    let path = chart().join(format!("ci/{name}-values.yaml"));
    assert!(path.exists(), "{}", path.display());
    path.to_string_lossy().into_owned()
}

/// The names of all of them.
pub fn all_ci() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(chart().join("ci"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix("-values.yaml").unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    names
}

/// Built by the first caller.
pub async fn tools() -> Tools {
    let tools = tokio::task::spawn_blocking(Tools::ensure).await;
    tools.unwrap().unwrap_or_else(|error| panic!("{error}"))
}

pub struct Helm {
    program: PathBuf,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    pub async fn without_cluster() -> Self {
        Self {
            program: tools().await.helm(),
            home: TempDir::new().unwrap(),
            kubeconfig: None,
        }
    }

    /// As the administrator of this control plane.
    pub async fn on(control: &ControlPlane) -> Self {
        Self {
            kubeconfig: Some(control.admin_kubeconfig_path()),
            ..Self::without_cluster().await
        }
    }

    pub async fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        // Uses nothing of the user's own Helm or cluster.
        command
            .env_clear()
            .env("HOME", self.home.path())
            .args(args)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.output().await.unwrap()
    }

    /// Standard output of a command that must succeed.
    pub async fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {}: {error}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must fail.
    pub async fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "helm {}: {text}", args.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    /// The output of `helm template`.
    pub async fn template(&self, values: &[&str]) -> String {
        let chart = chart();
        let mut args = vec!["template", NAME, path(&chart), "--namespace", NAME];
        args.extend(values);
        self.ok(&args).await
    }

    /// The same as objects.
    pub async fn objects(&self, values: &[&str]) -> Vec<Value> {
        documents(&self.template(values).await)
    }

    /// The objects with these values.
    pub async fn set(&self, values: &str) -> Vec<Value> {
        self.objects(&["--set", values]).await
    }

    /// The objects with a values file of the chart's.
    pub async fn ci(&self, name: &str) -> Vec<Value> {
        self.objects(&["--values", &ci(name)]).await
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The objects of a YAML stream.
pub fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// metadata.name.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// metadata.namespace, empty for an object of the whole cluster.
pub fn namespace(object: &Value) -> &str {
    let namespace = &object["metadata"]["namespace"];
    namespace.as_str().unwrap_or_default()
}

/// "Kind namespace/name", the identity of an object.
pub fn id(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    format!("{kind} {}/{}", namespace(object), name(object))
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = objects.iter().filter(|o| o["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// Removes the labels that mark an object as managed by Helm.
pub fn without_helm(mut object: Value) -> Value {
    if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
        for label in HELM_LABELS {
            assert!(labels.remove(label).is_some(), "{label}");
        }
    }
    object
}

/// Whether this line sets such a label.
pub fn is_helm_label(line: &str) -> bool {
    let line = line.trim_start();
    let mut labels = HELM_LABELS.iter();
    labels.any(|label| line.starts_with(&format!("{label}:")))
}
