//! Statuses and resources that a backup brought back in parts.

use kube::api::PostParams;

use super::expect::*;

const PHONE: &str = "8613800001501";
const CODE: &str = "40718265";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.code("m", CODE).await.unwrap();
    world
}

#[tokio::test]
async fn ready_without_an_id_is_corrected_by_the_first_read_that_says_otherwise() {
    let world = world("half-restored").await;
    world.make(&Migration::new("m", PHONE)).await;
    let conditions = CONDITIONS.map(|type_| {
        let holds = ["Ready", "Finished"].contains(&type_);
        json!({"type": type_, "status": if holds { "True" } else { "False" }, "reason": "Verified",
               "message": "restored", "observedGeneration": 1,
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    });
    let status = json!({"observedGeneration": 1, "reason": "Verified", "conditions": conditions,
                        "verifiedAt": "2026-01-01T00:00:00Z"});
    world.patch_status("m", status).await.unwrap();
    // Otherwise the first read is made after five seconds.
    world.request("m", "now").await.unwrap();
    let _operator = world.start(&[]).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["id"], "id-1", "{status}");
    // The read that disproved it, and the pre-read.
    assert_eq!(world.reads(PHONE).len(), 2);
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

/// As Velero creates it in another cluster: with its label, without its status.
#[tokio::test]
async fn a_resource_restored_without_status_and_ledger_waits_for_a_retry_token() {
    let world = world("velero").await;
    let restored = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
        "metadata": {"name": "m", "labels": {"velero.io/restore-name": "nightly"}},
        "spec": {"custSpaceId": "29348393884", "phoneNumber": PHONE,
                 "verifyCodeSecretRef": {"name": "m-code"}},
    });
    let object = serde_json::from_value(restored).unwrap();
    let (api, params) = (world.migrations(), PostParams::default());
    api.create(&params, &object).await.unwrap();
    let _operator = world.start(&[]).await;
    let waits = stalled("CodeUnknown", "was restored without its status");
    let status = shows(&world, "m", waits).await;
    assert_eq!(status["restoredWithoutStatus"], true, "{status}");
    // Neither another reconcile nor another code changes that.
    new_code(&world, "m", "11223344").await;
    world.looked("m").await;
    shows(&world, "m", waits).await;
    assert!(world.calls(PHONE).is_empty());
    put_code(&world, "m", CODE).await;
    world.retry("m", "it is new").await;
    shows(&world, "m", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}
