//! `helm install --wait` of Helm 4, which waits with kstatus, on charts that hold PhoneMigrations.

use std::path::{Path, PathBuf};
use std::process::Output;

use cluster_tools::Tools;
use harness::World;
use tempfile::TempDir;
use tokio::process::Command;

use crate::OPERATOR;

const PHONE: &str = "8613800000901";

/// A chart with one PhoneMigration.
fn chart() -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    file(
        "Chart.yaml",
        "apiVersion: v2\nname: numbers\nversion: 0.1.0\n",
    );
    std::fs::create_dir(dir.path().join("templates")).unwrap();
    let manifest = format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: store}}\n\
         spec: {{custSpaceId: '29348393884', phoneNumber: '{PHONE}', \
         verifyCodeSecretRef: {{name: store-code}}}}\n"
    );
    file("templates/migration.yaml", &manifest);
    dir
}

/// Built by the first who asks, which takes minutes once.
async fn helm() -> PathBuf {
    let tools = tokio::task::spawn_blocking(Tools::ensure).await.unwrap();
    tools.unwrap_or_else(|error| panic!("{error}")).helm()
}

async fn install(helm: &Path, world: &World, timeout: &str) -> Output {
    let (home, chart) = (TempDir::new().unwrap(), chart());
    Command::new(helm)
        .env_clear()
        .env("HOME", home.path())
        .env("KUBECONFIG", world.plane.control.admin_kubeconfig_path())
        .args(["install", "numbers"])
        .arg(chart.path())
        .args([
            "--namespace",
            &world.namespace,
            "--wait",
            "--timeout",
            timeout,
        ])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn helm_install_with_wait_ends_well_when_the_number_is_verified() {
    let world = World::new(OPERATOR, "helm-good").await.unwrap();
    world.number(PHONE, "40718265", "id-1");
    world.code("store", "40718265").await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    let output = install(&helm().await, &world, "50s").await;
    assert!(output.status.success(), "{output:?}");
    let status = world.until_reason("store", "Verified").await.unwrap();
    assert_eq!(status["id"], "id-1");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn helm_install_with_wait_fails_when_the_code_is_refused() {
    let world = World::new(OPERATOR, "helm-bad").await.unwrap();
    world.number(PHONE, "40718265", "id-1");
    world.code("store", "40718266").await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    let helm = helm().await;
    let output = install(&helm, &world, "50s").await;
    assert!(!output.status.success(), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("store") && words.contains("Failed"),
        "{words}"
    );
    // At once, not when its time is up.
    assert!(!words.contains("deadline"), "{words}");
    world.until_reason("store", "CodeRejected").await.unwrap();
    world.finish().await.unwrap();
}

#[tokio::test]
async fn helm_install_with_wait_goes_on_waiting_while_the_code_is_missing() {
    let world = World::new(OPERATOR, "helm-waits").await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    let output = install(&helm().await, &world, "6s").await;
    assert!(!output.status.success(), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("InProgress"), "{words}");
    assert!(words.contains("deadline"), "{words}");
    world.until_reason("store", "SecretNotFound").await.unwrap();
    assert!(world.sim.ledger().is_empty());
    world.finish().await.unwrap();
}
