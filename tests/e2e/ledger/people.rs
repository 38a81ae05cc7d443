//! Resources come, go, are renamed, moved and restored: the number's ledger stays.

use super::*;

/// The code stays in a Secret, and the next resource that refers to it shows its outcome at once.
#[tokio::test]
async fn a_resource_that_is_renamed_or_moved_shows_what_its_code_led_to_and_a_new_one_goes() {
    let world = World::new(OPERATOR, "moved").await.unwrap();
    let (other, both) = world.second_namespace("other").await;
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let _operator = world.start(&flags).await;
    refused(&world, "first").await;
    let number = phone(1);
    let request = world.calls(&number)[0].request_id.clone();
    let reads = world.reads(&number).len();

    world.delete("first").await.unwrap();
    let its_secret = json!({"verifyCodeSecretRef": {"name": "first-code"}});
    let renamed = Migration::new("renamed", &number).spec(its_secret);
    world.make(&renamed).await;
    let status = reason(&world, "renamed", "CodeRejected").await;
    assert_eq!(status["requestId"], request, "{status}");
    assert!(status["attempt"].is_null(), "not its own: {status}");

    world.delete("renamed").await.unwrap();
    let its_code = json!({"code": code(2)});
    let put = world.secret_in(&other, "moved-code", its_code).await;
    put.unwrap();
    let moved = Migration::new("moved", &number);
    world.create_in(&other, &moved).await.unwrap();
    let status = reason_in(&world, &other, "moved", "CodeRejected").await;
    assert_eq!(status["requestId"], request, "{status}");
    // No request to CAMS was made for it, and no other code waits for anything.
    assert_eq!(world.calls(&number).len(), 1);
    assert_eq!(world.reads(&number).len(), reads);
    let right = json!({"code": code(1)});
    world.secret_in(&other, "moved-code", right).await.unwrap();
    request_in(&world, &other, "moved", "the right code").await;
    let status = reason_in(&world, &other, "moved", "Verified").await;
    assert_verified(&status, &number);
    assert_eq!(world.calls(&number).len(), 2);
    assert_eq!(outcomes(&world, &number).await, ["Accepted", "Refused"]);
    world.finish().await.unwrap();
}

/// Wiped while the operator runs; restored without status while it does not.
#[tokio::test]
async fn a_status_that_is_wiped_or_not_restored_is_shown_again_from_the_ledger() {
    let world = World::new(OPERATOR, "wiped").await.unwrap();
    let mut operator = world.start(NEVER_FINAL).await;
    let before = refused(&world, "r").await;
    let number = phone(1);
    let fields = before.as_object().unwrap().keys();
    let nothing: serde_json::Map<String, Value> =
        fields.map(|field| (field.clone(), Value::Null)).collect();
    world.patch_status("r", nothing.into()).await.unwrap();
    let after = reason(&world, "r", "CodeRejected").await;
    for field in ["attempt", "history", "errorCode", "requestId"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(operator.stop().await.unwrap(), Some(0));

    world.delete("r").await.unwrap();
    world.make(&Migration::new("r", &number)).await;
    let _operator = world.start(NEVER_FINAL).await;
    let part = "by another PhoneMigration";
    let status = says(&world, "r", "CodeRejected", part).await;
    assert_eq!(status["requestId"], before["requestId"], "{status}");
    world.looked("r").await;
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}
