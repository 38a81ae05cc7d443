//! Starting: one line reports a missing setting, and the operator waits for objects that are still
//! to come.

use harness::Launch;

use super::expect::*;

const CODE: &str = "40718265";

/// Starts an operator that cannot run; returns its last line, which has to be its only complaint.
async fn refusal(world: &World, change: impl FnOnce(&mut Launch<'_>)) -> String {
    let mut launch = world.launch(&[]).unwrap();
    // The log's own lines are not the complaint.
    launch.env.retain(|(name, _)| name != "RUST_LOG");
    launch.env.push(("RUST_LOG".into(), "off".into()));
    change(&mut launch);
    let mut operator = Operator::spawn(&launch).unwrap();
    let code = operator.ended(Duration::from_secs(60)).await.unwrap();
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

fn set(launch: &mut Launch<'_>, flag: &str, value: &str) {
    match launch.args.iter().position(|arg| arg == flag) {
        Some(at) => launch.args[at + 1] = value.to_owned(),
        None => launch.args.extend([flag.to_owned(), value.to_owned()]),
    }
}

/// Without a flag and its value.
fn leave_out(launch: &mut Launch<'_>, flag: &str) {
    let at = launch.args.iter().position(|arg| arg == flag).unwrap();
    launch.args.drain(at..at + 2);
}

fn unset(launch: &mut Launch<'_>, name: &str) {
    launch.env.retain(|(known, _)| known != name);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_ends_the_process_with_one_clear_line() {
    let world = World::new(OPERATOR, "mistakes").await.unwrap();
    let key = world.dir().join("short-key");
    std::fs::write(&key, "short").unwrap();
    let key = key.to_string_lossy();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let make_key = "head -c 32 /dev/urandom";
    let refused: [(&str, &str, &[&str]); 10] = [
        ("--credentials-dir", "/does/not/exist", &["/does/not/exist"]),
        (
            "--cams-endpoint",
            "http://cams.example.com",
            &["cams-endpoint"],
        ),
        ("--cams-endpoint", "ftp://127.0.0.1", &["cams-endpoint"]),
        (
            "--cams-endpoint",
            "https://cams.aliyuncs.com.evil.example",
            &["cams-endpoint"],
        ),
        ("--cams-endpoint", "nonsense", &["cams-endpoint"]),
        ("--fingerprint-key-file", &*key, &["short-key", make_key]),
        (
            "--fingerprint-key-file",
            "/no/key",
            &["there is no file /no/key", make_key],
        ),
        ("--qps", "fast", &["--qps", "PHONEMIG_QPS"]),
        ("--signature-validity", "5", &["--signature-validity"]),
        ("--listen", &address, &[address.as_str()]),
    ];
    for (flag, value, parts) in refused {
        let line = refusal(&world, |l| set(l, flag, value)).await;
        assert_says(&line, parts);
    }
    for (flag, says) in [
        ("--fingerprint-key-file", make_key),
        ("--ledger-namespace", "PHONEMIG_LEDGER_NAMESPACE"),
    ] {
        let line = refusal(&world, |l| leave_out(l, flag)).await;
        assert_says(&line, &[flag, says]);
    }
    let line = refusal(&world, |l| l.args.push("--no-such-flag".into())).await;
    assert_says(&line, &["--no-such-flag", "--help"]);
    let secret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
    let line = refusal(&world, |l| unset(l, secret)).await;
    assert_says(
        &line,
        &[&format!("{secret} is not set"), "--credentials-dir"],
    );
    let nowhere = ("KUBECONFIG".to_owned(), "/does/not/exist".to_owned());
    let line = refusal(&world, |l| {
        unset(l, "KUBECONFIG");
        l.env.push(nowhere);
    });
    assert_says(&line.await, &["kubeconfig", "KUBECONFIG"]);
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
    shows(&world, "m", accepted()).await;
    let check = check(&launch).await;
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

fn kubeconfig_of(launch: &Launch<'_>) -> String {
    let mut env = launch.env.iter();
    let found = env.find(|(name, _)| name == "KUBECONFIG");
    found.unwrap().1.clone()
}

fn crd_file(plural: &str) -> String {
    let path = harness::repository().join(format!("crds/{plural}.yaml"));
    path.to_string_lossy().into_owned()
}

/// Removes a part of a CRD.
async fn remove_from(world: &World, crd: &str, path: &str) {
    let patch = format!(r#"[{{"op":"remove","path":"{path}"}}]"#);
    world
        .kubectl(&format!("patch {crd} --type=json -p {patch}"))
        .await;
}

#[tokio::test]
async fn started_before_a_crd_it_waits_and_then_works() {
    let (_dir, world) = apart(OPERATOR, "no-crd").await;
    for plural in ["phonemigrations", "codeledgers"] {
        let crd = format!("crd/{plural}.phonemigration.dev");
        world.kubectl(&format!("delete {crd} --timeout=90s")).await;
        let mut operator = Operator::spawn(&world.launch(&[]).unwrap()).unwrap();
        let says =
            format!("{plural}.phonemigration.dev is not installed: apply crds/{plural}.yaml");
        operator.until_logged(&says).await;
        let ready = operator.http("/readyz").await.unwrap();
        assert!(!ready.starts_with("HTTP/1.1 200"), "{ready}");
        assert!(ready.contains(&says), "{ready}");
        assert_alive(&mut operator).await;
        world
            .kubectl(&format!("apply -f {}", crd_file(plural)))
            .await;
        let established = "wait --for=condition=Established --timeout=90s";
        world.kubectl(&format!("{established} {crd}")).await;
        operator.ready().await.unwrap();
        assert_eq!(operator.stop().await.unwrap(), Some(0));
    }
    let _operator = world.start(&[]).await;
    world.migrate("m", "8613800001201", CODE).await;
    shows(&world, "m", accepted()).await;
    // While it waited, the API server refused only requests for missing objects.
    let requests = world.requests().unwrap();
    let refused = requests.iter().find(|r| r.code == 403);
    assert!(refused.is_none(), "{refused:?}");
    finish(&world).await;
}

/// With such a CRD, the API server would drop parts of the record.
#[tokio::test]
async fn a_crd_of_another_version_ends_the_process_with_one_clear_line() {
    let (_dir, world) = apart(OPERATOR, "old-crd").await;
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
        remove_from(&world, &crd, path).await;
        let line = refusal(&world, |_| {}).await;
        assert_says(&line, &[lacks]);
        world
            .kubectl(&format!("replace -f {}", crd_file(plural)))
            .await;
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
    remove_from(world, crd, field).await;
    // The API server serves it after a moment.
    let probe = Migration::new("probe", "8613800001204");
    world.make(&probe.spec(json!({"suspend": true}))).await;
    shows(world, "probe", suspended()).await;
    let dropped = async || {
        let some = json!({"id": format!("{:?}", Instant::now())});
        let stored = world.patch_status("probe", some).await.unwrap();
        stored.data["status"]["id"].is_null()
    };
    until_asked("the CRD is in force", dropped).await;
    world.migrate("m", PHONE, CODE).await;
    let says = "stored something else than what was written";
    let said = || operator.log().matches(says).count() >= 3;
    until("it is said", said).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    assert_eq!(world.reads(PHONE).len(), 1);
    let shipped = crd_file("phonemigrations");
    world.kubectl(&format!("replace -f {shipped}")).await;
    let id = format!("id-{PHONE}");
    let there = |status: &Value| status["id"] == *id;
    let within = Duration::from_secs(60);
    world.until("m", within, there).await.unwrap();
    shows(world, "m", accepted()).await;
    let mut writes = world.requests().unwrap();
    writes.retain(|r| r.verb == "update" && r.name == "m");
    assert!(writes.len() < 20, "{} writes of one status", writes.len());
    assert_eq!(world.calls(PHONE).len(), 1);
    assert_eq!(world.reads(PHONE).len(), 1);
}

#[tokio::test]
async fn the_crd_command_prints_what_is_committed() {
    let mut command = tokio::process::Command::new(OPERATOR);
    let output = command.arg("crd").output().await.unwrap();
    assert!(output.status.success());
    let committed = ["codeledgers", "phonemigrations"]
        .map(|plural| std::fs::read_to_string(crd_file(plural)).unwrap());
    let printed = String::from_utf8(output.stdout).unwrap();
    let how = "run: UPDATE_CRDS=1 cargo test --test crd";
    assert!(printed == committed.join("---\n"), "{how}");
}
