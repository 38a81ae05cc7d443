//! Amounts: of bytes that others send, and of codes that others can make the operator spend.

use harness::cams_simulator::Answer;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};

use super::*;

/// Largest growth of the resident memory, in KiB.
const MOST: u64 = 20 * 1024;

#[tokio::test]
async fn t18_huge_secrets_and_replies_do_not_stay_in_memory() {
    let world = World::new(OPERATOR, "sizes").await.unwrap();
    let operator = world.start(NEVER_FINAL).await;
    world.migrate("first", &phone(0), "46340001").await;
    reason(&world, "first", "Verified").await;
    let before = operator.resident_kib().unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    for n in 1..=10 {
        let name = format!("huge-{n}");
        let mut secret = Secret::default();
        secret.metadata.name = Some(format!("{name}-code"));
        // As large as the API server allows, in addition to the key that the operator reads.
        let values = [("code", b'7'), ("other", b'8')];
        let values = values.map(|(key, byte)| (key.to_owned(), ByteString(vec![byte; 500 << 10])));
        secret.data = Some(values.into());
        let created = secrets.create(&PostParams::default(), &secret).await;
        created.unwrap();
        world.make(&Migration::new(&name, phone(n))).await;
    }
    let huge = Fault::answer(Stage::Executed, Answer::Huge { bytes: 50 << 20 });
    for n in 20..23 {
        world.next_call_of(&phone(n), huge.clone());
        let name = format!("reply-{n}");
        world.migrate(&name, &phone(n), "46340002").await;
    }
    for n in 1..=10 {
        reason(&world, &format!("huge-{n}"), "InvalidCode").await;
    }
    for n in 20..23 {
        reason(&world, &format!("reply-{n}"), "Verified").await;
    }
    let after = operator.resident_kib().unwrap();
    println!("resident: {before} KiB, then {after} KiB");
    assert!(after < before + MOST, "from {before} KiB to {after} KiB");
    world.finish().await.unwrap();
}

/// A user edits every field that they may edit, with a new guess each time.
#[tokio::test]
async fn t20_no_loop_of_edits_spends_more_codes_than_the_limit() {
    let world = World::new(OPERATOR, "edits").await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    let number = phone(50);
    world.number(&number, "46349999", "id-1");
    world.code("m", "46340100").await.unwrap();
    world.make(&Migration::new("m", &number)).await;
    let calls = || world.calls(&number).len();
    for n in 1..12 {
        finished(&world, "m").await;
        let code = json!({"stringData": {"code": format!("4634{:04}", 100 + n)}});
        world.patch_secret("m-code", code).await.unwrap();
        let labels = json!({"metadata": {"labels": {"n": n.to_string()}}});
        world.patch("m", labels).await.unwrap();
        for suspend in [true, false] {
            world.edit("m", json!({"suspend": suspend})).await;
        }
        let token = format!("edit-{n}");
        world.request("m", &token).await.unwrap();
        let seen = |s: &Value| s["lastHandledReconcileAt"] == *token;
        world.until_status("m", seen).await;
    }
    let status = reason(&world, "m", "AttemptsExhausted").await;
    assert_eq!(calls(), 5, "{status}");
    // Each changed token is a user's permission to go on: five more at a time, twenty in all.
    for n in 0..24 {
        let code = json!({"stringData": {"code": format!("4634{:04}", 200 + n)}});
        world.patch_secret("m-code", code).await.unwrap();
        let token = format!("token-{n}");
        world.retry("m", &token).await;
        let seen = |s: &Value| {
            s["lastHandledRetryToken"] == *token && harness::condition(s, "Finished") == "True"
        };
        world.until_status("m", seen).await;
    }
    assert_eq!(calls(), 20);
    world.finish().await.unwrap();
}
