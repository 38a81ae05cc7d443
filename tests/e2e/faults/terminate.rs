//! SIGTERM: nothing new is sent, running calls are recorded, unsent claims are released.

use super::*;

/// Waits until `/readyz` no longer answers 200: the process has received the signal.
pub async fn until_not_ready(operator: &mut Operator) {
    let not_ready = async || {
        let reply = operator.http("/readyz").await;
        !reply.is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
    };
    until_asked("not ready", not_ready).await;
}

#[tokio::test]
async fn a_running_call_is_recorded_before_the_exit() {
    let world = World::new(OPERATOR, "drain").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Counted));
    let mut operator = world.start(NEVER_FINAL).await;
    world.migrate("drain", &number, &code(1)).await;
    let held = world.held().await;
    operator.terminate().await.unwrap();
    until_not_ready(&mut operator).await;
    // Created after the signal: not for this process.
    world.migrate("later", &phone(2), &code(2)).await;
    world.go_on(held);
    let exit = operator.ended(Duration::from_secs(15)).await.unwrap();
    assert_eq!(exit, Some(0));
    let status = world.status("drain").await;
    assert_verified(&status, &number);
    assert_eq!(world.executed(&number), 1);
    assert!(world.calls(&phone(2)).is_empty());
    world.finish().await.unwrap();
}

/// The API server has stored the claim, and the process has not got the reply when it is told to
/// stop.
#[tokio::test]
async fn a_claim_that_was_not_sent_is_released_and_nothing_is_burnt() {
    let world = World::new(OPERATOR, "released").await.unwrap();
    let (proxy, mut operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let claimed = proxy.rule(claim_of("r").once(), Then::HoldReply);
    world.migrate("r", &number, &code(1)).await;
    claimed.hit().await.unwrap();
    operator.terminate().await.unwrap();
    until_not_ready(&mut operator).await;
    claimed.release();
    let exit = operator.ended(Duration::from_secs(20)).await.unwrap();
    assert_eq!(exit, Some(0));
    let status = world.status("r").await;
    assert_eq!(status["attempt"]["outcome"], "NotSent", "{status}");
    let entry = world.ledgers().await.unwrap()[0]["entries"][0].clone();
    assert_eq!(entry["outcome"], "NotSent", "left open: {entry}");
    assert!(world.calls(&number).is_empty());
    let _operator = world.start(NEVER_FINAL).await;
    let status = verified(&world, "r", &number).await;
    assert_ne!(status["attempt"]["id"], entry["attemptId"], "{status}");
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}

/// A zombie alone: it is stopped right after its claim, and its signature is too old when it wakes
/// up.
#[tokio::test]
async fn c08_a_process_that_was_stopped_after_its_claim_does_not_send_late() {
    let world = World::new(OPERATOR, "zombie").await.unwrap();
    let (proxy, operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let stop = operator.process().unwrap().stopped_after();
    let stop = proxy.rule(claim_of("z").once(), stop);
    world.migrate("z", &number, &code(1)).await;
    let claim = stop.hit().await.unwrap();
    let old = claim.body["entries"][0]["attemptId"].clone();
    // The signature is old then.
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(world.calls(&number).is_empty());
    operator.signal("CONT").await.unwrap();
    let status = verified(&world, "z", &number).await;
    assert_ne!(status["attempt"]["id"], old, "{status}");
    let calls = world.calls(&number);
    assert_eq!(calls.len(), 1);
    let sent = calls[0].nonce.as_deref();
    assert_eq!(sent, status["attempt"]["id"].as_str(), "the old signature");
    world.finish().await.unwrap();
}
