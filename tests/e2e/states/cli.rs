//! The resource in kubectl: columns, waits, selectors, `kubectl explain`, manifests.

use harness::{Migration, World};
use serde_json::json;

use super::expect::*;

const GOOD: &str = "8613800001001";
const BAD: &str = "8613800001002";

/// One verified, one refused, one without a Secret.
async fn world(name: &str) -> (World, harness::Operator) {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.migrate("good", GOOD, "40718265").await;
    world.number(BAD, "40718265", "id-2");
    world.code("bad", "99887766").await.unwrap();
    world.make(&Migration::new("bad", BAD)).await;
    world.make(&Migration::new("late", "8613800001003")).await;
    let operator = world.start(&[]).await;
    (world, operator)
}

async fn kubectl(world: &World, args: &[&str]) -> String {
    let mut all = vec!["--namespace", &world.namespace];
    all.extend(args);
    world.plane.control.kubectl_ok(&all).await.unwrap()
}

async fn settled(world: &World) {
    until(world, "good", verified("CAMS accepted the code")).await;
    until(world, "bad", code_refused()).await;
    until(world, "late", progress("SecretNotFound", "create it")).await;
}

#[tokio::test]
async fn kubectl_wait_ends_on_success_and_on_refusal() {
    let (world, _operator) = world("wait").await;
    let finished = [
        "wait",
        "--for=condition=Finished",
        "--timeout=30s",
        "phmig/good",
        "phmig/bad",
    ];
    let out = kubectl(&world, &finished).await;
    assert_eq!(out.matches("condition met").count(), 2, "{out}");
    kubectl(
        &world,
        &[
            "wait",
            "--for=condition=Ready",
            "--timeout=30s",
            "phmig/good",
        ],
    )
    .await;
    kubectl(
        &world,
        &[
            "wait",
            "--for=condition=Stalled",
            "--timeout=30s",
            "phmig/bad",
        ],
    )
    .await;
    let reason = "--for=jsonpath={.status.reason}=CodeRejected";
    kubectl(&world, &["wait", reason, "--timeout=30s", "phmig/bad"]).await;
    let never = [
        "--namespace",
        &world.namespace,
        "wait",
        "--for=condition=Ready",
        "--timeout=1s",
        "phmig/bad",
    ];
    assert!(
        !world
            .plane
            .control
            .kubectl(never)
            .await
            .unwrap()
            .status
            .success()
    );
    settled(&world).await;
    finish(&world).await;
}

#[tokio::test]
async fn kubectl_get_shows_the_columns_under_every_name() {
    let (world, _operator) = world("columns").await;
    settled(&world).await;
    let columns = |text: &str| -> Vec<String> {
        let head = text.lines().next().unwrap_or_default();
        head.split_whitespace().map(str::to_owned).collect()
    };
    let table = kubectl(&world, &["get", "phmig"]).await;
    assert_eq!(
        columns(&table),
        ["NAME", "READY", "REASON", "ID", "AGE"],
        "{table}"
    );
    let row = |table: &str, name: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(
        row(&table, "good")[1..4],
        ["True", "Verified", &format!("id-{GOOD}")]
    );
    assert_eq!(row(&table, "bad")[1..3], ["False", "CodeRejected"]);
    let wide = kubectl(&world, &["get", "phmig", "-o", "wide"]).await;
    let wanted = [
        "NAME",
        "READY",
        "REASON",
        "ID",
        "NUMBER",
        "ERRORCODE",
        "ATTEMPTS",
        "REQUEST",
        "AGE",
        "MESSAGE",
    ];
    assert_eq!(columns(&wide), wanted, "{wide}");
    // Masked, and present before the first answer of CAMS.
    assert!(
        row(&wide, "late").contains(&"861380000****".to_owned()),
        "{wide}"
    );
    assert!(wide.contains("request a new code"), "{wide}");
    assert!(
        row(&wide, "bad").contains(&"VerifyCode.Mismatch".to_owned()),
        "{wide}"
    );
    for name in [
        "phonemigrations",
        "phonemigration",
        "phonemigrations.phonemigration.dev",
        "cams",
    ] {
        assert_eq!(
            columns(&kubectl(&world, &["get", name]).await),
            columns(&table),
            "{name}"
        );
    }
    assert!(!kubectl(&world, &["get", "all"]).await.contains("good"));
    finish(&world).await;
}

#[tokio::test]
async fn field_selectors_find_by_number_reason_and_error_code() {
    let (world, _operator) = world("selectors").await;
    settled(&world).await;
    let number = format!("spec.phoneNumber={GOOD}");
    let cases = [
        (number.as_str(), "good"),
        ("status.reason=CodeRejected", "bad"),
        ("status.reason=SecretNotFound", "late"),
        ("status.errorCode=VerifyCode.Mismatch", "bad"),
    ];
    for (selector, name) in cases {
        let args = ["get", "phmig", "--field-selector", selector, "-o", "name"];
        let found = kubectl(&world, &args).await;
        assert_eq!(
            found.trim(),
            format!("phonemigration.phonemigration.dev/{name}"),
            "{selector}"
        );
    }
    finish(&world).await;
}

#[tokio::test]
async fn kubectl_explain_is_the_manual() {
    let plane = harness::plane().await.unwrap();
    // The API server shows short name and schema a moment after the CRD is established.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while plane
        .control
        .kubectl_ok(["explain", "phmig.spec"])
        .await
        .is_err()
    {
        assert!(tokio::time::Instant::now() < deadline, "not explained");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let explain = async |path: &str| plane.control.kubectl_ok(["explain", path]).await.unwrap();
    let spec = explain("phmig.spec").await;
    let words: Vec<&str> = spec.split_whitespace().collect();
    let manual = words.join(" ");
    assert!(
        manual.contains("Put the new code into the Secret first, then change this."),
        "{spec}"
    );
    // kubectl breaks the lines itself; the line breaks of the source are gone.
    let token = explain("phmig.spec.retryToken").await;
    let wrapped = "it lets a code through of\n    which the operator cannot tell";
    assert!(token.contains(wrapped), "{token}");
    assert!(
        explain("phmig")
            .await
            .contains("ownership of one WhatsApp Business phone number")
    );
}

#[tokio::test]
async fn the_samples_as_they_stand_send_nothing() {
    let world = World::new(OPERATOR, "samples").await.unwrap();
    let samples = harness::repository().join("deploy/samples");
    for file in ["phone-migration.yaml", "secret.yaml"] {
        let text = std::fs::read_to_string(samples.join(file)).unwrap();
        let ours = text.replace(
            "namespace: tenant-a",
            &format!("namespace: {}", world.namespace),
        );
        world.plane.control.apply(&ours).await.unwrap();
    }
    let _operator = world.start(&[]).await;
    until(
        &world,
        "store-42",
        stalled("InvalidCode", false, "nothing was sent"),
    )
    .await;
    // The client that applied the resource finds its own fields untouched, and may apply it again.
    let object = serde_json::to_value(world.get("store-42").await.unwrap()).unwrap();
    assert!(object["metadata"]["finalizers"].is_null(), "{object}");
    assert_eq!(object["metadata"]["generation"], json!(1));
    assert!(world.sim.ledger().is_empty());
    finish(&world).await;
}
