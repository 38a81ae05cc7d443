//! The resource in kubectl: columns, waits, selectors, `kubectl explain`, manifests.

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

async fn kubectl(world: &World, words: &str) -> String {
    let namespace = &world.namespace;
    world
        .kubectl(&format!("--namespace {namespace} {words}"))
        .await
}

async fn settled(world: &World) {
    shows(world, "good", accepted()).await;
    shows(world, "bad", code_refused()).await;
    shows(world, "late", no_secret()).await;
}

#[tokio::test]
async fn kubectl_wait_ends_on_success_and_on_refusal() {
    let (world, _operator) = world("wait").await;
    let wait = "wait --timeout=30s --for";
    let finished = format!("{wait} condition=Finished phmig/good phmig/bad");
    let out = kubectl(&world, &finished).await;
    assert_eq!(out.matches("condition met").count(), 2, "{out}");
    for holds in [
        "condition=Ready phmig/good",
        "condition=Stalled phmig/bad",
        "jsonpath={.status.reason}=CodeRejected phmig/bad",
    ] {
        kubectl(&world, &format!("{wait} {holds}")).await;
    }
    let never = "wait --timeout=1s --for=condition=Ready phmig/bad -n";
    let never = never.split(' ').chain([world.namespace.as_str()]);
    let never = world.plane.control.kubectl(never).await.unwrap();
    assert!(!never.status.success());
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
    let table = kubectl(&world, "get phmig").await;
    let head = ["NAME", "READY", "REASON", "ID", "AGE"];
    assert_eq!(columns(&table), head, "{table}");
    let row = |table: &str, name: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let id = format!("id-{GOOD}");
    assert_eq!(row(&table, "good")[1..4], ["True", "Verified", &id]);
    assert_eq!(row(&table, "bad")[1..3], ["False", "CodeRejected"]);
    let wide = kubectl(&world, "get phmig -o wide").await;
    let wanted = "NAME READY REASON ID NUMBER ERRORCODE ATTEMPTS REQUEST AGE MESSAGE";
    assert_eq!(columns(&wide).join(" "), wanted, "{wide}");
    // Masked, and present before the first answer of CAMS.
    let masked = "861380000****".to_owned();
    assert!(row(&wide, "late").contains(&masked), "{wide}");
    assert!(wide.contains("request a new code"), "{wide}");
    let error = "VerifyCode.Mismatch".to_owned();
    assert!(row(&wide, "bad").contains(&error), "{wide}");
    for name in [
        "phonemigrations",
        "phonemigration",
        "phonemigrations.phonemigration.dev",
        "cams",
    ] {
        let of_name = kubectl(&world, &format!("get {name}")).await;
        assert_eq!(columns(&of_name), columns(&table), "{name}");
    }
    assert!(!kubectl(&world, "get all").await.contains("good"));
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
        let get = format!("get phmig --field-selector {selector} -o name");
        let found = kubectl(&world, &get).await;
        let wanted = format!("phonemigration.phonemigration.dev/{name}");
        assert_eq!(found.trim(), wanted, "{selector}");
    }
    finish(&world).await;
}

#[tokio::test]
async fn kubectl_explain_is_the_manual() {
    let plane = harness::plane().await.unwrap();
    // The API server shows short name and schema a moment after the CRD is established.
    let control = &plane.control;
    let explained = async || control.kubectl_ok(["explain", "phmig.spec"]).await.is_ok();
    until_asked("the manual", explained).await;
    let explain = async |path: &str| control.kubectl_ok(["explain", path]).await.unwrap();
    let spec = explain("phmig.spec").await;
    let words: Vec<&str> = spec.split_whitespace().collect();
    let manual = words.join(" ");
    assert_says(
        &manual,
        &["Put the new code into the Secret first, then change this."],
    );
    // kubectl breaks the lines itself; the line breaks of the source are gone.
    let token = explain("phmig.spec.retryToken").await;
    let wrapped = "it lets a code through of\n    which the operator cannot tell";
    assert!(token.contains(wrapped), "{token}");
    let all = explain("phmig").await;
    assert_says(&all, &["ownership of one WhatsApp Business phone number"]);
}

#[tokio::test]
async fn the_samples_as_they_stand_send_nothing() {
    let world = World::new(OPERATOR, "samples").await.unwrap();
    let samples = harness::repository().join("deploy/samples");
    for file in ["phone-migration.yaml", "secret.yaml"] {
        let text = std::fs::read_to_string(samples.join(file)).unwrap();
        let here = format!("namespace: {}", world.namespace);
        let ours = text.replace("namespace: tenant-a", &here);
        world.plane.control.apply(&ours).await.unwrap();
    }
    let _operator = world.start(&[]).await;
    shows(
        &world,
        "store-42",
        stalled("InvalidCode", "nothing was sent"),
    )
    .await;
    // The client that applied the resource finds its own fields untouched, and may apply it again.
    let object = world.object("store-42").await;
    assert!(object["metadata"]["finalizers"].is_null(), "{object}");
    assert_eq!(object["metadata"]["generation"], json!(1));
    assert!(world.sim.ledger().is_empty());
    finish(&world).await;
}
