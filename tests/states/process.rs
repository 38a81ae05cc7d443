//! Starting: what is missing is said in one line, and what is to come is waited for.

use std::sync::Arc;
use std::time::Duration;

use harness::control_plane::{ControlPlane, Options};
use harness::{Operator, World};
use tempfile::TempDir;

use crate::expect::*;

const CODE: &str = "40718265";

/// Starts an operator that cannot run; its last line, which is to be its only complaint.
async fn refusal(world: &World, change: impl FnOnce(&mut harness::Launch<'_>)) -> String {
    let mut launch = world.launch(&[]).unwrap();
    // The log's own lines are not the complaint.
    launch.env.retain(|(name, _)| name != "RUST_LOG");
    launch.env.push(("RUST_LOG".into(), "off".into()));
    change(&mut launch);
    let mut operator = Operator::spawn(&launch).unwrap();
    let code = operator.ended(Duration::from_secs(20)).await.unwrap();
    let log = operator.log();
    assert!(code.is_some_and(|code| code != 0), "exit {code:?}: {log}");
    assert!(
        !log.contains("panicked") && !log.contains("RUST_BACKTRACE"),
        "{log}"
    );
    let complaints: Vec<&str> = log
        .lines()
        .filter(|l| l.starts_with("phone-migration-operator:"))
        .collect();
    assert_eq!(complaints.len(), 1, "one line: {log}");
    assert_eq!(log.lines().count(), 1, "and nothing else: {log}");
    complaints[0].to_owned()
}

fn set(launch: &mut harness::Launch<'_>, flag: &str, value: &str) {
    match launch.args.iter().position(|arg| arg == flag) {
        Some(at) => launch.args[at + 1] = value.to_owned(),
        None => launch.args.extend([flag.to_owned(), value.to_owned()]),
    }
}

fn unset(launch: &mut harness::Launch<'_>, name: &str) {
    launch.env.retain(|(known, _)| known != name);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_ends_the_process_with_one_clear_line() {
    let world = World::new(OPERATOR, "mistakes").await.unwrap();
    let line = refusal(&world, |l| unset(l, "ALIBABA_CLOUD_ACCESS_KEY_SECRET")).await;
    assert!(
        line.contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"),
        "{line}"
    );
    assert!(line.contains("--credentials-dir"), "{line}");
    let line = refusal(&world, |l| set(l, "--credentials-dir", "/does/not/exist")).await;
    assert!(line.contains("/does/not/exist"), "{line}");
    for bad in [
        "http://cams.example.com",
        "ftp://127.0.0.1",
        "https://cams.aliyuncs.com.evil.example",
        "nonsense",
    ] {
        let line = refusal(&world, |l| set(l, "--cams-endpoint", bad)).await;
        assert!(line.contains("cams-endpoint"), "{bad}: {line}");
    }
    let key = world.dir().join("short-key");
    std::fs::write(&key, "short").unwrap();
    let line = refusal(&world, |l| {
        set(l, "--fingerprint-key-file", &key.to_string_lossy())
    })
    .await;
    assert!(
        line.contains("short-key") && line.contains("head -c 32 /dev/urandom"),
        "{line}"
    );
    let line = refusal(&world, |l| set(l, "--qps", "fast")).await;
    assert!(
        line.contains("--qps") && line.contains("PHONEMIG_QPS"),
        "{line}"
    );
    let line = refusal(&world, |l| set(l, "--signature-validity", "5")).await;
    assert!(line.contains("--signature-validity"), "{line}");
    let line = refusal(&world, |l| l.args.push("--no-such-flag".into())).await;
    assert!(
        line.contains("--no-such-flag") && line.contains("--help"),
        "{line}"
    );
    let line = refusal(&world, |l| {
        unset(l, "KUBECONFIG");
        l.env.push(("KUBECONFIG".into(), "/does/not/exist".into()));
    })
    .await;
    assert!(
        line.contains("kubeconfig") && line.contains("KUBECONFIG"),
        "{line}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&world, |l| set(l, "--listen", &address)).await;
    assert!(line.contains(&address), "{line}");
    finish(&world).await;
}

#[tokio::test]
async fn started_before_the_crd_it_waits_and_then_works() {
    let dir = TempDir::new().unwrap();
    let control = ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap();
    let plane = Arc::new(harness::install(control).await.unwrap());
    let world = World::on(plane, OPERATOR, "no-crd").await.unwrap();
    let crd = [
        "delete",
        "crd",
        "phonemigrations.phonemigration.dev",
        "--timeout=30s",
    ];
    world.plane.control.kubectl_ok(crd).await.unwrap();
    let mut operator = Operator::spawn(&world.launch(&[]).unwrap()).unwrap();
    until_sim("a line that says so", Duration::from_secs(20), || {
        operator
            .log()
            .contains("is not installed: apply crds/phonemigrations.yaml")
    })
    .await;
    let ready = operator.http("/readyz").await.unwrap();
    assert!(!ready.starts_with("HTTP/1.1 200"), "{ready}");
    let alive = operator.http("/livez").await.unwrap();
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    let file = harness::repository().join("crds/phonemigrations.yaml");
    let file = file.to_string_lossy().into_owned();
    world
        .plane
        .control
        .kubectl_ok(["apply", "-f", &file])
        .await
        .unwrap();
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/phonemigrations.phonemigration.dev",
    ];
    world.plane.control.kubectl_ok(wait).await.unwrap();
    operator.ready().await.unwrap();
    world
        .ready_migration("m", "8613800001201", CODE)
        .await
        .unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    // While it waited it was refused nothing but what is not there.
    let refused: Vec<_> = world
        .requests()
        .unwrap()
        .into_iter()
        .filter(|r| r.code == 403)
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    finish(&world).await;
}

#[tokio::test]
async fn the_crd_command_prints_what_is_committed() {
    let output = tokio::process::Command::new(OPERATOR)
        .arg("crd")
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    let committed = std::fs::read(harness::repository().join("crds/phonemigrations.yaml")).unwrap();
    assert!(
        output.stdout == committed,
        "run: phone-migration-operator crd > crds/phonemigrations.yaml"
    );
}
