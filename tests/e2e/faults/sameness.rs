//! Whether a code was already spent: people and tools rewrite, relabel, restore, recreate.

use super::*;

/// A resource whose code `code(2)` was refused; the right one is `code(1)`.
async fn refused(world: &World, name: &str) -> String {
    let number = phone(1);
    world.offer(name, &number, &code(2), &code(1)).await;
    let status = reason(world, name, "CodeRejected").await;
    assert_eq!(status["errorCode"], "VerifyCode.Mismatch", "{status}");
    assert_eq!(world.executed(&number), 1);
    number
}

#[tokio::test]
async fn c28_a_refused_code_is_not_sent_again_whatever_happens_to_its_secret() {
    let world = World::new(OPERATOR, "c28").await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    let number = refused(&world, "r").await;
    // Rewritten: another uid, another resourceVersion, the same code.
    world.code("r", &code(2)).await.unwrap();
    let status = world.looked("r").await;
    assert_eq!(harness::reason(&status), "CodeRejected", "{status}");
    // A label changes: another resourceVersion.
    let labels = json!({"metadata": {"labels": {"team": "blue"}}});
    world.patch_secret("r-code", labels).await.unwrap();
    world.looked("r").await;
    // retryToken allows another code, never this one.
    world.retry("r", "again").await;
    let seen = |s: &Value| s["lastHandledRetryToken"] == "again";
    world.until_status("r", seen).await;
    assert_eq!(world.calls(&number).len(), 1);
    // Another code is refused, then the first is put back.
    world.code("r", &code(3)).await.unwrap();
    let two = |s: &Value| s["history"].as_array().is_some_and(|h| h.len() == 2);
    world.until_status("r", two).await;
    assert_eq!(world.calls(&number).len(), 2);
    world.code("r", &code(2)).await.unwrap();
    let status = world.looked("r").await;
    assert_eq!(harness::reason(&status), "CodeRejected", "{status}");
    assert_eq!(world.calls(&number).len(), 2);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c29_a_secret_deleted_during_the_call_changes_nothing() {
    let world = World::new(OPERATOR, "c29").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Received));
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("c29", &number, &code(1)).await;
    let held = world.held().await;
    let delete = format!("-n {} delete secret c29-code", world.namespace);
    world.kubectl(&delete).await;
    world.go_on(held);
    verified(&world, "c29", &number).await;
    assert_eq!(world.executed(&number), 1);
    world.finish().await.unwrap();
}

/// Deletes the resource while its call is held, and creates it again at once.
async fn recreated_in_flight(world: &World, right: &str, wanted: &str) -> Value {
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _operator = world.start(NEVER_FINAL).await;
    world.offer("c30", &number, &code(1), right).await;
    let held = world.held().await;
    world.delete("c30").await.unwrap();
    world.make(&Migration::new("c30", &number)).await;
    let status = reason(world, "c30", "Queued").await;
    assert!(status["attempt"].is_null(), "{status}");
    world.go_on(held);
    let status = reason(world, "c30", wanted).await;
    assert_eq!(world.calls(&number).len(), 1);
    let event = told(world, "OutcomeWithoutResource").await;
    let call = &world.calls(&number)[0];
    assert!(event.note.as_deref().unwrap().contains(&call.request_id));
    let log = world.logs().concat();
    assert!(log.contains("Outcome of an attempt whose resource is gone"));
    world.finish().await.unwrap();
    status
}

#[tokio::test]
async fn c30_recreated_in_flight_an_accepted_code_is_not_sent_again() {
    let world = World::new(OPERATOR, "c30-accepted").await.unwrap();
    let status = recreated_in_flight(&world, &code(1), "Verified").await;
    assert_verified(&status, &phone(1));
}

#[tokio::test]
async fn c30_recreated_in_flight_a_refused_code_is_not_sent_again() {
    let world = World::new(OPERATOR, "c30-refused").await.unwrap();
    let status = recreated_in_flight(&world, &code(9), "CodeRejected").await;
    assert_eq!(status["errorCode"], "VerifyCode.Mismatch", "{status}");
}

/// Deletes the resource while its outcome is unknown, and creates it again at once.
async fn recreated_while_unknown(world: &World, fault: Fault) -> Value {
    let number = phone(1);
    world.next_call_of(&number, fault);
    world.migrate("u", &number, &code(1)).await;
    reason(world, "u", "OutcomeUnknown").await;
    world.delete("u").await.unwrap();
    world.make(&Migration::new("u", &number)).await;
    reason(world, "u", "Queued").await;
    let status = finished(world, "u").await;
    assert_eq!(world.calls(&number).len(), 1);
    status
}

#[tokio::test]
async fn c30_recreated_while_unknown_an_executed_code_is_adopted() {
    let world = World::new(OPERATOR, "c30-unknown").await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    let status = recreated_while_unknown(&world, Fault::close(Stage::Executed)).await;
    assert_verified(&status, &phone(1));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c30_recreated_while_unknown_a_code_stays_spent_and_a_different_one_goes_on() {
    let world = World::new(OPERATOR, "c30-final").await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    let status = recreated_while_unknown(&world, Fault::close(Stage::Counted)).await;
    assert_eq!(harness::reason(&status), "OutcomeUnknown", "{status}");
    assert_eq!(harness::condition(&status, "Finished"), "True", "{status}");
    world.sim.set_code(&phone(1), &code(2));
    world.code("u", &code(2)).await.unwrap();
    verified(&world, "u", &phone(1)).await;
    assert_eq!(world.counts(&phone(1)), (2, 1));
    world.finish().await.unwrap();
}
