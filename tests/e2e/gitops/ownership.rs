//! Server-side apply by another manager: no conflict with the operator, and no drift.

use std::process::Output;

use harness::World;

use super::OPERATOR;

const PHONE: &str = "8613800000911";

fn manifest(namespace: &str, token: &str) -> String {
    format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: store, namespace: {namespace}, labels: {{team: a}}}}\n\
         spec: {{custSpaceId: '29348393884', phoneNumber: '{PHONE}', retryToken: '{token}', \
         verifyCodeSecretRef: {{name: store-code}}}}\n"
    )
}

async fn kubectl(world: &World, args: &[&str], input: &str) -> Output {
    let control = &world.plane.control;
    control
        .kubectl_with_input(args.to_vec(), input)
        .await
        .unwrap()
}

const APPLY: [&str; 5] = [
    "apply",
    "--server-side",
    "--field-manager=kustomize-controller",
    "-f",
    "-",
];
const DIFF: [&str; 5] = [
    "diff",
    "--server-side",
    "--field-manager=kustomize-controller",
    "-f",
    "-",
];

#[tokio::test]
async fn another_manager_applies_without_conflict_and_sees_no_drift() {
    let world = World::new(OPERATOR, "applied").await.unwrap();
    world.number(PHONE, "40718265", "id-1");
    world.code("store", "40718265").await.unwrap();
    let _operator = world.start(&[]).await;
    let (first, second) = (
        manifest(&world.namespace, "1"),
        manifest(&world.namespace, "2"),
    );
    let applied = kubectl(&world, &APPLY, &first).await;
    assert!(applied.status.success(), "{applied:?}");
    world.until_reason("store", "Verified").await.unwrap();
    // Exit code 1 is a difference.
    let same = kubectl(&world, &DIFF, &first).await;
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    let differs = kubectl(&world, &DIFF, &second).await;
    assert_eq!(differs.status.code(), Some(1), "{differs:?}");
    let applied = kubectl(&world, &APPLY, &second).await;
    assert!(applied.status.success(), "{applied:?}");
    let seen = |status: &serde_json::Value| status["observedGeneration"] == 2;
    let status = world
        .until("store", std::time::Duration::from_secs(30), seen)
        .await
        .unwrap();
    assert_eq!(status["reason"], "Verified");
    let object = serde_json::to_value(world.get("store").await.unwrap()).unwrap();
    // The operator owns only status.
    for entry in object["metadata"]["managedFields"].as_array().unwrap() {
        let ours = entry["manager"] == "phone-migration-operator";
        assert_eq!(ours, entry["subresource"] == "status", "{entry}");
    }
    world.finish().await.unwrap();
}
