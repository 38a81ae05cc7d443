//! Starting: one line reports a missing setting, and the operator waits for objects that are still
//! to come.

use std::sync::Arc;
use std::time::Duration;

use harness::control_plane::{ControlPlane, Options};
use harness::{Migration, Operator, World};
use serde_json::json;
use tempfile::TempDir;

use super::expect::*;

const CODE: &str = "40718265";

/// Starts an operator that cannot run; returns its last line, which has to be its only complaint.
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

/// Without a flag and its value.
fn leave_out(launch: &mut harness::Launch<'_>, flag: &str) {
    let at = launch.args.iter().position(|arg| arg == flag).unwrap();
    launch.args.drain(at..at + 2);
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
    let line = refusal(&world, |l| set(l, "--fingerprint-key-file", "/no/key")).await;
    assert!(
        line.contains("there is no file /no/key") && line.contains("head -c 32 /dev/urandom"),
        "{line}"
    );
    let line = refusal(&world, |l| leave_out(l, "--fingerprint-key-file")).await;
    assert!(
        line.contains("--fingerprint-key-file") && line.contains("head -c 32 /dev/urandom"),
        "{line}"
    );
    let line = refusal(&world, |l| leave_out(l, "--ledger-namespace")).await;
    assert!(
        line.contains("--ledger-namespace") && line.contains("PHONEMIG_LEDGER_NAMESPACE"),
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

/// A proxy is not supported, and its URL may hold a password.
#[tokio::test]
async fn a_proxy_of_the_environment_is_neither_used_nor_shown() {
    const PASSWORD: &str = "canary-proxy-password";
    let world = World::new(OPERATOR, "proxy").await.unwrap();
    let mut launch = world.launch(&[]).unwrap();
    let url = format!("http://me:{PASSWORD}@127.0.0.1:1");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        launch.env.push((name.into(), url.clone()));
    }
    let mut operator = Operator::spawn(&launch).unwrap();
    operator.ready().await.unwrap();
    world.migrate("m", "8613800001202", CODE).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    let check = tokio::process::Command::new(OPERATOR)
        .arg("check")
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(k, v)| (k, v)))
        .output()
        .await
        .unwrap();
    let report = String::from_utf8(check.stdout).unwrap();
    assert!(report.contains("Nothing is wrong"), "{report}");
    let stderr = String::from_utf8(check.stderr).unwrap();
    for text in [operator.log(), report, stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    // A proxy in the kubeconfig is refused, without its URL in the message.
    let line = refusal(&world, |launch| {
        let path = kubeconfig_of(launch);
        let text = std::fs::read_to_string(&path).unwrap();
        let own = text.replace("server:", &format!("proxy-url: {url}\n    server:"));
        assert_ne!(own, text);
        std::fs::write(path, own).unwrap();
    })
    .await;
    assert!(line.contains("names a proxy-url"), "{line}");
    assert!(!line.contains(PASSWORD), "{line}");
    finish(&world).await;
}

fn kubeconfig_of(launch: &harness::Launch<'_>) -> String {
    let mut env = launch.env.iter();
    let found = env.find(|(name, _)| name == "KUBECONFIG");
    found.unwrap().1.clone()
}

/// Its own control plane, whose CRDs a case may remove.
async fn own_plane(dir: &TempDir, case: &str) -> World {
    let control = ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap();
    let plane = Arc::new(harness::install(control).await.unwrap());
    World::on(plane, OPERATOR, case).await.unwrap()
}

fn crd_file(plural: &str) -> String {
    let path = harness::repository().join(format!("crds/{plural}.yaml"));
    path.to_string_lossy().into_owned()
}

async fn kubectl(world: &World, args: &[&str]) -> String {
    let control = &world.plane.control;
    control.kubectl_ok(args.iter().copied()).await.unwrap()
}

#[tokio::test]
async fn started_before_a_crd_it_waits_and_then_works() {
    let dir = TempDir::new().unwrap();
    let world = own_plane(&dir, "no-crd").await;
    for plural in ["phonemigrations", "codeledgers"] {
        let crd = format!("crd/{plural}.phonemigration.dev");
        kubectl(&world, &["delete", &crd, "--timeout=90s"]).await;
        let mut operator = Operator::spawn(&world.launch(&[]).unwrap()).unwrap();
        let says =
            format!("{plural}.phonemigration.dev is not installed: apply crds/{plural}.yaml");
        until_sim("a line that says so", Duration::from_secs(30), || {
            operator.log().contains(&says)
        })
        .await;
        let ready = operator.http("/readyz").await.unwrap();
        assert!(!ready.starts_with("HTTP/1.1 200"), "{ready}");
        assert!(ready.contains(&says), "{ready}");
        let alive = operator.http("/livez").await.unwrap();
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
        kubectl(&world, &["apply", "-f", &crd_file(plural)]).await;
        let established = "--for=condition=Established";
        kubectl(&world, &["wait", established, "--timeout=90s", &crd]).await;
        operator.ready().await.unwrap();
        assert_eq!(operator.stop().await.unwrap(), Some(0));
    }
    let _operator = world.start(&[]).await;
    world.migrate("m", "8613800001201", CODE).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    // While it waited, the API server refused only requests for missing objects.
    let refused: Vec<_> = world
        .requests()
        .unwrap()
        .into_iter()
        .filter(|r| r.code == 403)
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    finish(&world).await;
}

/// With such a CRD, the API server would drop parts of the record.
#[tokio::test]
async fn a_crd_of_another_version_ends_the_process_with_one_clear_line() {
    let dir = TempDir::new().unwrap();
    let world = own_plane(&dir, "old-crd").await;
    let (ledger, migration) = ("codeledgers", "phonemigrations");
    let field =
        "/spec/versions/0/schema/openAPIV3Schema/properties/entries/items/properties/imported";
    for (plural, path, lacks) in [
        (
            ledger,
            field,
            "lacks .entries.imported: apply crds/codeledgers.yaml",
        ),
        (
            migration,
            "/spec/versions/0/subresources",
            "lacks the status subresource: apply crds/phonemigrations.yaml",
        ),
    ] {
        let crd = format!("crd/{plural}.phonemigration.dev");
        let patch = format!(r#"[{{"op": "remove", "path": "{path}"}}]"#);
        kubectl(&world, &["patch", &crd, "--type=json", "-p", &patch]).await;
        let launch = world.launch(&[]).unwrap();
        let mut operator = Operator::spawn(&launch).unwrap();
        let code = operator.ended(Duration::from_secs(60)).await.unwrap();
        let log = operator.log();
        assert!(code.is_some_and(|code| code != 0), "exit {code:?}: {log}");
        let complaints: Vec<&str> = log
            .lines()
            .filter(|l| l.starts_with("phone-migration-operator:"))
            .collect();
        assert_eq!(complaints.len(), 1, "one line: {log}");
        assert!(complaints[0].contains(lacks), "{}", complaints[0]);
        kubectl(&world, &["replace", "-f", &crd_file(plural)]).await;
    }
    // The API server serves the new CRD after a moment, and an outdated document ends nothing.
    let operator = world.start(&[]).await;
    loses_a_field_meanwhile(&world, &operator).await;
    finish(&world).await;
}

/// The CRD is replaced by an older one while the operator runs: a status that is not stored as
/// written does not count as a success. The operator reports it and retries with a back-off, and
/// reads or sends nothing for it.
async fn loses_a_field_meanwhile(world: &World, operator: &Operator) {
    const PHONE: &str = "8613800001203";
    let crd = "crd/phonemigrations.phonemigration.dev";
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/id";
    let patch = format!(r#"[{{"op": "remove", "path": "{field}"}}]"#);
    kubectl(world, &["patch", crd, "--type=json", "-p", &patch]).await;
    // The API server serves it after a moment.
    let probe = Migration::new("probe", "8613800001204");
    world.make(&probe.spec(json!({"suspend": true}))).await;
    until(world, "probe", suspended()).await;
    loop {
        let stored = world
            .patch_status("probe", json!({"id": "x"}))
            .await
            .unwrap();
        if stored.data["status"]["id"].is_null() {
            break;
        }
        world
            .patch_status("probe", json!({"id": null}))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.migrate("m", PHONE, CODE).await;
    let says = "stored something else than what was written";
    until_sim("it is said", Duration::from_secs(30), || {
        operator.log().matches(says).count() >= 3
    })
    .await;
    assert_eq!(calls(world, PHONE).len(), 1);
    assert_eq!(reads(world, PHONE).len(), 1);
    kubectl(world, &["replace", "-f", &crd_file("phonemigrations")]).await;
    let id = format!("id-{PHONE}");
    let there = |status: &serde_json::Value| status["id"] == *id;
    world
        .until("m", Duration::from_secs(60), there)
        .await
        .unwrap();
    until(world, "m", verified("CAMS accepted the code")).await;
    let writes = world.requests().unwrap().into_iter();
    let writes = writes
        .filter(|r| r.verb == "update" && r.name == "m")
        .count();
    assert!(writes < 20, "{writes} writes of one status");
    assert_eq!(
        (calls(world, PHONE).len(), reads(world, PHONE).len()),
        (1, 1)
    );
}

#[tokio::test]
async fn the_crd_command_prints_what_is_committed() {
    let output = tokio::process::Command::new(OPERATOR)
        .arg("crd")
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    let committed = ["codeledgers", "phonemigrations"]
        .map(|plural| std::fs::read_to_string(crd_file(plural)).unwrap());
    assert!(
        String::from_utf8(output.stdout).unwrap() == committed.join("---\n"),
        "run: UPDATE_CRDS=1 cargo test --test crd"
    );
}
