//! Server-side apply by another manager: no conflict with the operator, and no drift.

use std::process::Output;

use super::*;

const PHONE: &str = "8613800000911";

fn manifest(namespace: &str, token: &str) -> String {
    format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: store, namespace: {namespace}, labels: {{team: a}}}}\n\
         spec: {{custSpaceId: '29348393884', phoneNumber: '{PHONE}', retryToken: '{token}', \
         verifyCodeSecretRef: {{name: store-code}}}}\n"
    )
}

/// What `kubectl apply` or `kubectl diff` says for another manager.
async fn kubectl(world: &World, verb: &str, input: &str) -> Output {
    let manager = "--server-side --field-manager=kustomize-controller";
    let words = format!("{verb} {manager} -f -");
    let control = &world.plane.control;
    let run = control.kubectl_with_input(words.split(' '), input);
    run.await.unwrap()
}

#[tokio::test]
async fn another_manager_applies_without_conflict_and_sees_no_drift() {
    let world = World::new(OPERATOR, "applied").await.unwrap();
    world.number(PHONE, "40718265", "id-1");
    world.code("store", "40718265").await.unwrap();
    let _operator = world.start(&[]).await;
    let [first, second] = ["1", "2"].map(|token| manifest(&world.namespace, token));
    let applied = kubectl(&world, "apply", &first).await;
    assert!(applied.status.success(), "{applied:?}");
    world.until_reason("store", "Verified").await.unwrap();
    // Exit code 1 is a difference.
    let same = kubectl(&world, "diff", &first).await;
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    let differs = kubectl(&world, "diff", &second).await;
    assert_eq!(differs.status.code(), Some(1), "{differs:?}");
    let applied = kubectl(&world, "apply", &second).await;
    assert!(applied.status.success(), "{applied:?}");
    let seen = |status: &Value| status["observedGeneration"] == 2;
    let status = world.until_status("store", seen).await;
    assert_eq!(status["reason"], "Verified");
    let object = world.object("store").await;
    // The operator owns only status.
    for entry in object["metadata"]["managedFields"].as_array().unwrap() {
        let ours = entry["manager"] == "phone-migration-operator";
        assert_eq!(ours, entry["subresource"] == "status", "{entry}");
    }
    world.finish().await.unwrap();
}
