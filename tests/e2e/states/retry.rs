//! The life of a user's `spec.retryToken`, and the traces of a released attempt.

use super::expect::*;

const PHONE: &str = "8613800000901";
const RIGHT: &str = "40718265";
const WRONG: &str = "99887766";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, RIGHT, "id-1");
    world.code("m", WRONG).await.unwrap();
    world
}

/// The token let the code through; a throttle gives it back unspent. If the operator demanded
/// another token, a throttle would be terminal.
#[tokio::test]
async fn a_throttle_does_not_use_up_a_retry_token() {
    let world = world("token-throttled").await;
    let mut operator = with_key(&world, 1).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", code_refused()).await;
    operator.stop().await.unwrap();
    put_code(&world, "m", RIGHT).await;
    let _operator = with_key(&world, 2).await;
    world.looked("m").await;
    let says = "change spec.retryToken";
    shows(&world, "m", ended("CodeRejected", says)).await;
    world.next_call(busy(2000));
    world.retry("m", "new").await;
    shows(&world, "m", throttled()).await;
    shows(&world, "m", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 3);
    finish(&world).await;
}

#[tokio::test]
async fn a_spent_code_put_back_shows_its_own_error_again() {
    let world = world("put-back").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let rejected = ended(
        "CodeRejected",
        "CAMS refused the code (VerifyCode.Mismatch)",
    );
    let before = shows(&world, "m", rejected).await;
    world.next_call(busy(30_000));
    new_code(&world, "m", RIGHT).await;
    let status = shows(&world, "m", throttled()).await;
    assert_eq!(status["errorCode"], "Throttling.User");
    new_code(&world, "m", WRONG).await;
    let after = shows(&world, "m", rejected).await;
    assert_eq!(after["errorCode"], "VerifyCode.Mismatch");
    assert_eq!(after["requestId"], before["requestId"]);
    assert_eq!(after["history"], before["history"]);
    assert_eq!(world.calls(PHONE).len(), 2);
    finish(&world).await;
}

#[tokio::test]
async fn c28_a_recreated_resource_shows_at_once_what_its_code_led_to() {
    let world = world("recreated").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", code_refused()).await;
    let reads_before = world.reads(PHONE).len();
    world.delete("m").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let status = shows(
        &world,
        "m",
        ended("CodeRejected", "by another PhoneMigration"),
    )
    .await;
    assert_eq!(status["errorCode"], "VerifyCode.Mismatch");
    assert_eq!(status["requestId"], world.calls(PHONE)[0].request_id);
    // It is the outcome of another resource's attempt.
    assert!(status["attempt"].is_null(), "{status}");
    assert!(status["history"].is_null(), "{status}");
    assert_eq!(world.reads(PHONE).len(), reads_before, "nothing is asked");
    world.looked("m").await;
    assert_eq!(world.calls(PHONE).len(), 1, "the code is not spent again");
    new_code(&world, "m", RIGHT).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attempt"]["number"], 1, "its own first");
    finish(&world).await;
}

/// A status after twenty refused codes.
fn twenty_refused() -> Value {
    let at = "2026-01-01T00:00:00Z";
    let entry = |n: i32| {
        json!({"number": n, "attemptId": format!("{n:032}"), "codeFingerprint": format!("0badc0de:{n:032}"),
               "outcome": "Refused", "errorCode": "VerifyCode.Mismatch", "finishedAt": at})
    };
    let history: Vec<_> = (1..=20).rev().map(entry).collect();
    let secret = json!({"uid": "u", "resourceVersion": "1"});
    let attempt = json!({"number": 20, "id": format!("{:032}", 20), "signedAt": at, "secret": secret,
                         "codeFingerprint": format!("0badc0de:{:032}", 20), "outcome": "Refused", "finishedAt": at});
    json!({"observedGeneration": 1, "reason": "AttemptsExhausted", "attemptLimit": 20,
           "lastHandledRetryToken": "", "history": history, "attempt": attempt})
}

#[tokio::test]
async fn after_twenty_codes_no_token_allows_more() {
    let world = world("twenty").await;
    put_code(&world, "m", RIGHT).await;
    world.make(&Migration::new("m", PHONE)).await;
    world.patch_status("m", twenty_refused()).await.unwrap();
    let forged = world.patch_status("m", json!({"attemptLimit": 1000})).await;
    assert!(forged.is_err_and(|error| error.to_string().contains("attemptLimit")));
    let _operator = world.start(&[]).await;
    for token in ["one", "two"] {
        world.retry("m", token).await;
        world.looked("m").await;
        let says = "20 codes were spent, and no more are allowed for this number";
        shows(&world, "m", ended("AttemptsExhausted", says)).await;
    }
    assert!(world.calls(PHONE).is_empty());
    finish(&world).await;
}
