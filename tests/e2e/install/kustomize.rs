//! The kustomize base is the chart's default output, and nothing else.
//!
//! This test writes the files in `deploy/`: `UPDATE_DEPLOY=1 cargo test -p e2e install::kustomize`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::{control_plane, repository};
use tokio::process::Command;

use super::helm::{Helm, NAME, chart, documents, id, is_helm_label, only, path, without_helm};
use super::release::Site;
use super::*;

/// Files of `deploy/` that are templates of the chart.
const RENDERED: [&str; 5] = [
    "service-account.yaml",
    "rbac.yaml",
    "aggregated-roles.yaml",
    "code-desk-role.yaml",
    "deployment.yaml",
];

/// Plurals of the resources: names of their files.
const CRDS: [&str; 2] = ["codeledgers", "phonemigrations"];

/// Writes, on request; otherwise compares.
fn settle(path: &PathBuf, wanted: &str) {
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what the chart renders: UPDATE_DEPLOY=1 cargo test -p e2e install::kustomize",
        path.display()
    );
}

/// One template as rendered by default, without Helm's own labels.
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
        "# Written from the chart by `UPDATE_DEPLOY=1 cargo test -p e2e install::kustomize`.\n{body}\n"
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

/// A chart can hold only files of its folder, so it holds a copy.
#[test]
fn kustomize_and_the_chart_have_the_same_crds() {
    for plural in CRDS {
        let crd = fs::read_to_string(repository().join(format!("crds/{plural}.yaml"))).unwrap();
        settle(&chart().join(format!("files/{plural}.yaml")), &crd);
    }
}

/// The objects that the real kustomize builds (kubectl has it built in).
async fn build(folder: &Path) -> Vec<Value> {
    let assets = tokio::task::spawn_blocking(control_plane::assets).await;
    let kubectl = assets.unwrap().unwrap().kubectl();
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output();
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    documents(&String::from_utf8(output.stdout).unwrap())
}

/// Object by object and field by field.
#[tokio::test]
async fn kustomize_builds_what_the_chart_renders() {
    let built = by_id(build(&repository().join("deploy")).await);

    let helm = Helm::without_cluster().await;
    let mut wanted = by_id(helm.objects(&[]).await);
    // Random, so the user makes it: the README explains how.
    let key = format!("Secret {NAME}/{NAME}-fingerprint-key");
    assert!(wanted.remove(&key).is_some(), "{key}");
    // Of `helm test`.
    let check = format!("Pod {NAME}/{NAME}-check");
    assert!(wanted.remove(&check).is_some(), "{check}");
    let wanted = wanted
        .into_iter()
        .map(|(id, object)| (id, without_helm(object)));
    let mut wanted: BTreeMap<String, Value> = wanted.collect();
    // As generated: kustomize has no release labels, and no uninstall.
    for plural in CRDS {
        let name = format!("{plural}.phonemigration.dev");
        let crd = wanted.get_mut(&format!("CustomResourceDefinition /{name}"));
        crd.unwrap()["metadata"] = json!({ "name": name });
    }
    // Helm makes the namespace by --create-namespace, without labels.
    let namespace = fs::read_to_string(repository().join("deploy/namespace.yaml")).unwrap();
    wanted.extend(by_id(documents(&namespace)));

    assert!(
        built.keys().eq(wanted.keys()),
        "{:?} and {:?}",
        built.keys(),
        wanted.keys()
    );
    for (id, object) in &wanted {
        assert_eq!(&built[id], object, "{id}");
    }
}

/// The component for a sign-in without a key turns the base into the chart's output for that.
#[tokio::test]
async fn the_component_without_a_key_is_what_the_chart_renders() {
    let dir = tempfile::tempdir().unwrap();
    // From there: up to the root, and down again.
    let here = dir.path().canonicalize().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let deploy = repository().join("deploy").canonicalize().unwrap();
    let deploy = format!("{up}{}", path(&deploy).trim_start_matches('/'));
    let own = format!("resources: [{deploy}]\ncomponents: [{deploy}/rrsa]\n");
    fs::write(here.join("kustomization.yaml"), own).unwrap();
    let built = build(&here).await;

    let helm = Helm::without_cluster().await;
    // The schema refuses such names, so the chart uses others.
    let values = "credentials.source=rrsa,credentials.rrsa.roleArn=acs:ram::1:role/NAME,\
                  credentials.rrsa.oidcProviderArn=acs:ram::1:oidc-provider/PROVIDER";
    let rendered = helm.set(values).await;
    let rendered = without_helm(only(&rendered, "Deployment").clone());
    let text = rendered.to_string().replace("ram::1:", "ram::ACCOUNT_ID:");
    let wanted: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(only(&built, "Deployment"), &wanted);
}

/// As a reader without kustomize would: the whole folder, by the real kubectl. Then all of it by
/// kustomize, which finds the same folder.
#[tokio::test]
async fn the_folder_of_crds_is_applied_as_it_is_and_by_kustomize() {
    let site = Site::new().await;
    let (crds, deploy) = (repository().join("crds"), repository().join("deploy"));
    let applied = site.kubectl(&format!("apply -f {}", path(&crds))).await;
    for plural in CRDS {
        let crd = format!("{plural}.phonemigration.dev");
        assert!(applied.contains(&format!("{crd} created")), "{applied}");
        let established = "wait --for=condition=Established --timeout=30s crd";
        site.kubectl(&format!("{established} {crd}")).await;
    }
    assert_eq!(applied.lines().count(), CRDS.len(), "{applied}");
    let applied = site.kubectl(&format!("apply -k {}", path(&deploy))).await;
    for plural in CRDS {
        let unchanged = format!("{plural}.phonemigration.dev unchanged");
        assert!(applied.contains(&unchanged), "{applied}");
    }
    assert_says(&applied, &[&format!("deployment.apps/{NAME} created")]);
    let role = site.get("role", &format!("{NAME}-ledger")).await.unwrap();
    assert_eq!(role["rules"][0]["resources"][0], "codeledgers");
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
