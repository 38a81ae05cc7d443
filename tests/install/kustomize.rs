//! The kustomize base is the chart's default output, and nothing else.
//!
//! The files in `deploy/` are written by this test: `UPDATE_DEPLOY=1 cargo test --test install
//! kustomize`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use harness::{control_plane, repository};
use serde_json::Value;
use tokio::process::Command;

use crate::helm::{Helm, NAME, chart, documents, id, is_helm_label, without_helm};

/// Files of `deploy/` that are templates of the chart.
const RENDERED: [&str; 4] = [
    "service-account.yaml",
    "rbac.yaml",
    "aggregated-roles.yaml",
    "deployment.yaml",
];

/// Writes, if asked to; else compares.
fn settle(path: &PathBuf, wanted: &str) {
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what the chart renders: UPDATE_DEPLOY=1 cargo test --test install kustomize",
        path.display()
    );
}

/// One template as rendered by default, without what only Helm says.
async fn rendered(helm: &Helm, file: &str) -> String {
    let template = format!("templates/{file}");
    let text = helm.template(&["--show-only", &template]).await;
    let mut kept = String::new();
    for line in text.lines() {
        if !line.trim().is_empty() && !line.starts_with("# Source: ") && !is_helm_label(line) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let body = kept.trim_start_matches("---\n").trim_end();
    format!(
        "# Written from the chart by `UPDATE_DEPLOY=1 cargo test --test install kustomize`.\n{body}\n"
    )
}

#[tokio::test]
async fn kustomize_files_are_the_charts_templates() {
    let helm = Helm::without_cluster().await;
    for file in RENDERED {
        let text = rendered(&helm, file).await;
        settle(&repository().join("deploy").join(file), &text);
    }
}

/// The chart can hold only what lies in its folder, so it holds a copy.
#[test]
fn kustomize_and_the_chart_have_one_crd() {
    let crd = fs::read_to_string(repository().join("crds/phonemigrations.yaml")).unwrap();
    settle(&chart().join("files/phonemigrations.yaml"), &crd);
}

/// Object by object and field by field, by the real kustomize (kubectl has it built in).
#[tokio::test]
async fn kustomize_builds_what_the_chart_renders() {
    let kubectl = tokio::task::spawn_blocking(control_plane::assets)
        .await
        .unwrap()
        .unwrap()
        .kubectl();
    let output = Command::new(kubectl)
        .args(["kustomize", "deploy"])
        .current_dir(repository())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let built = by_id(documents(&String::from_utf8(output.stdout).unwrap()));

    let helm = Helm::without_cluster().await;
    let mut wanted = by_id(helm.objects(&[]).await);
    // Random, so it is made by a person: the README says how.
    let key = format!("Secret {NAME}/{NAME}-fingerprint-key");
    assert!(wanted.remove(&key).is_some(), "{key}");
    let mut wanted: BTreeMap<String, Value> = wanted
        .into_iter()
        .map(|(id, object)| (id, without_helm(object)))
        .collect();
    // As generated: kustomize has no release whose labels it could carry, nor an uninstall.
    let crd = wanted
        .get_mut("CustomResourceDefinition /phonemigrations.phonemigration.dev")
        .unwrap();
    let name = crd["metadata"]["name"].clone();
    crd["metadata"] = serde_json::json!({ "name": name });
    // Helm makes the namespace by --create-namespace, without labels.
    let namespace = fs::read_to_string(repository().join("deploy/namespace.yaml")).unwrap();
    wanted.extend(by_id(documents(&namespace)));

    let ids =
        |objects: &BTreeMap<String, Value>| -> Vec<String> { objects.keys().cloned().collect() };
    assert_eq!(ids(&built), ids(&wanted));
    for (id, object) in &wanted {
        assert_eq!(&built[id], object, "{id}");
    }
}

fn by_id(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let count = objects.len();
    let objects: BTreeMap<String, Value> = objects
        .into_iter()
        .map(|object| (id(&object), object))
        .collect();
    assert_eq!(objects.len(), count, "an object twice");
    objects
}
