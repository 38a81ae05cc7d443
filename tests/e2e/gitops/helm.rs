//! `helm install --wait` of Helm 4, which waits with kstatus, on charts that hold PhoneMigrations.

use std::path::{Path, PathBuf};
use std::process::Output;

use cluster_tools::Tools;
use futures::StreamExt;
use phone_migration_operator::api::reason::Kstatus;
use tempfile::TempDir;
use tokio::process::Command;

use super::states::{Recorded, recorded};
use super::*;

const PHONE: &str = "8613800000901";

/// A chart with one PhoneMigration of this name.
fn chart(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    file(
        "Chart.yaml",
        "apiVersion: v2\nname: numbers\nversion: 0.1.0\n",
    );
    std::fs::create_dir(dir.path().join("templates")).unwrap();
    let manifest = format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: {name}}}\n\
         spec: {{custSpaceId: '29348393884', phoneNumber: '{PHONE}', \
         verifyCodeSecretRef: {{name: {name}-code}}}}\n"
    );
    file("templates/migration.yaml", &manifest);
    dir
}

/// Built by the first caller, which takes minutes once.
async fn helm() -> PathBuf {
    let tools = tokio::task::spawn_blocking(Tools::ensure).await.unwrap();
    tools.unwrap_or_else(|error| panic!("{error}")).helm()
}

async fn install(helm: &Path, world: &World, name: &str, timeout: &str) -> Output {
    let (home, chart) = (TempDir::new().unwrap(), chart(name));
    Command::new(helm)
        .env_clear()
        .env("HOME", home.path())
        .env("KUBECONFIG", world.plane.control.admin_kubeconfig_path())
        .args(["install", name])
        .arg(chart.path())
        .args(["--namespace", &world.namespace])
        .args(["--wait", "--timeout", timeout])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn helm_install_with_wait_fails_when_the_code_is_refused() {
    let world = World::new(OPERATOR, "helm-bad").await.unwrap();
    world.number(PHONE, "40718265", "id-1");
    world.code("store", "40718266").await.unwrap();
    let _operator = world.start(&[]).await;
    let helm = helm().await;
    let output = install(&helm, &world, "store", "50s").await;
    assert!(!output.status.success(), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_says(&words, &["store", "Failed"]);
    // At once, not when its time is up.
    assert!(!words.contains("deadline"), "{words}");
    world.until_reason("store", "CodeRejected").await.unwrap();
    world.finish().await.unwrap();
}

/// The status that an operator would have written by now, while Helm waits.
async fn play(world: &World, name: &str, state: &Recorded) {
    while world.get(name).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if state.object["metadata"]["generation"] != 1 {
        world.retry(name, "again").await;
    }
    if state.what != "unseen" {
        let status = state.object["status"].clone();
        world.patch_status(name, status).await.unwrap();
    }
}

/// Whether `kubectl wait --for=condition=Finished` ends.
async fn finishes(world: &World, name: &str) -> bool {
    let wait = "wait --for=condition=Finished --timeout=1s";
    let wait = format!("--namespace {} {wait} phmig/{name}", world.namespace);
    let output = world.plane.control.kubectl(wait.split(' ')).await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() || words.contains("timed out"),
        "{name}: {words}"
    );
    output.status.success()
}

/// Helm's verdict, and that of `kubectl wait`.
async fn judge(helm: &Path, world: &World, n: usize, state: &Recorded) {
    let (name, what) = (format!("s-{n}"), &state.what);
    let (output, ()) = tokio::join!(install(helm, world, &name, "6s"), play(world, &name, state));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let seen = match (output.status.success(), words.contains("deadline")) {
        (true, _) => Kstatus::Current,
        (false, true) => Kstatus::InProgress,
        (false, false) => Kstatus::Failed,
    };
    let wanted = match state.wanted {
        // kstatus knows no pause.
        Kstatus::Paused => Kstatus::InProgress,
        other => other,
    };
    assert_eq!(seen, wanted, "{what}: {words}");
    let is_news = state.object["metadata"]["generation"] == 1;
    let finished = condition(&state.object["status"], "Finished") == "True";
    assert_eq!(finishes(world, &name).await, finished && is_news, "{what}");
}

#[tokio::test]
async fn helm_and_kubectl_wait_judge_every_state_as_designed() {
    let world = World::new(OPERATOR, "helm-states").await.unwrap();
    let (helm, states) = (helm().await, recorded().await);
    futures::stream::iter(states.iter().enumerate())
        .for_each_concurrent(4, |(n, state)| judge(&helm, &world, n, state))
        .await;
    // No operator ran, and the test wrote the statuses itself: there is nothing to check at the
    // end.
}
