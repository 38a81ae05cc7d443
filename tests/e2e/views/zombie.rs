//! C08: a process is stopped right after its claim, another one is active, and the first wakes
//! up when its signature is too old to be sent.

use super::*;

/// Past the age of 10 s at which a signature is no longer sent.
const ASLEEP: Duration = Duration::from_secs(11);

/// It is stopped when its request is out, and CAMS has not executed it: no other call of the number
/// goes before that request can no longer be executed.
#[tokio::test]
async fn while_the_request_of_a_zombie_may_be_executed_no_other_code_goes() {
    let world = World::new(OPERATOR, "v08-sent").await.unwrap();
    let number = phone(1);
    world.next_call(Fault::gate(Stage::Received));
    let zombie = world.start(SOON_FINAL).await;
    world.migrate("c08", &number, &code(1)).await;
    let held = world.held().await;
    zombie.signal("STOP").await.unwrap();
    let _other = world.start(SOON_FINAL).await;
    assert!(world.sim.set_code(&number, &code(2)));
    world.code("c08", &code(2)).await.unwrap();
    let status = verified(&world, "c08", &number).await;
    let calls = world.calls(&number);
    assert_eq!(calls.len(), 2, "{calls:?}");
    let first = calls[0].nonce.as_deref();
    let spent = &status["history"][0];
    assert_eq!(spent["attemptId"].as_str(), first, "{status}");
    assert_eq!(spent["outcome"], "UnknownFinal", "{status}");
    // Not before the end time in the ledger.
    let ledger = &world.ledgers().await.unwrap()[0];
    let end = ledger["entries"][1]["finalAt"].as_str().unwrap();
    let end: jiff::Timestamp = end.parse().unwrap();
    assert!(calls[1].arrived_at > end, "before {end}: {calls:?}");
    // The connection of the zombie is gone when it wakes up.
    assert!(world.sim.release(held, Release::Close));
    zombie.signal("CONT").await.unwrap();
    world.finish().await.unwrap();
}

/// A zombie, its claim, and another operator that found the claim.
struct Night {
    _proxy: FaultProxy,
    zombie: Operator,
    other: Operator,
    claim: String,
}

async fn fall_asleep(world: &World, flags: &[&str]) -> Night {
    let (proxy, zombie) = world.proxied(flags).await;
    let stop = zombie.process().unwrap().stopped_after();
    let stop = proxy.rule(claim_of("c08").once(), stop);
    world.migrate("c08", &phone(1), &code(1)).await;
    let claim = stop.hit().await.unwrap();
    let claim = claim.body["entries"][0]["attemptId"].as_str().unwrap();
    let since = Instant::now();
    let other = world.start(flags).await;
    reason(world, "c08", "OutcomeUnknown").await;
    tokio::time::sleep_until(since + ASLEEP).await;
    assert!(world.calls(&phone(1)).is_empty());
    Night {
        _proxy: proxy,
        zombie,
        other,
        claim: claim.to_owned(),
    }
}

/// The zombie's signature was never sent.
fn assert_never_sent(world: &World, claim: &str) {
    let ledger = world.sim.ledger();
    let late = ledger.iter().any(|e| e.nonce.as_deref() == Some(claim));
    assert!(!late, "the old signature was sent");
}

/// Its outcome is not final yet: the process that signed it knows that it was not sent, and
/// releases it.
#[tokio::test]
async fn c08_a_zombie_releases_what_it_cannot_send_and_one_call_is_made() {
    let world = World::new(OPERATOR, "v08").await.unwrap();
    let night = fall_asleep(&world, NEVER_FINAL).await;
    night.zombie.signal("CONT").await.unwrap();
    let status = verified(&world, "c08", &phone(1)).await;
    assert_ne!(status["attempt"]["id"], night.claim, "{status}");
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_never_sent(&world, &night.claim);
    assert_eq!(world.calls(&phone(1)).len(), 1);
    drop(night.other);
    world.finish().await.unwrap();
}

/// The other one gave it up for good: that stays.
#[tokio::test]
async fn c08_a_zombie_does_not_send_what_another_declared_unknown() {
    let world = World::new(OPERATOR, "v08-final").await.unwrap();
    let night = fall_asleep(&world, SOON_FINAL).await;
    let done = |status: &Value| harness::condition(status, "Finished") == "True";
    world.until_status("c08", done).await;
    night.zombie.signal("CONT").await.unwrap();
    // It is awake when it reacts to a request.
    let (mut zombie, other) = (night.zombie, night.other);
    drop(other);
    world.request("c08", "awake").await.unwrap();
    let seen = |status: &Value| status["lastHandledReconcileAt"] == "awake";
    let status = world.until_status("c08", seen).await;
    assert_eq!(status["attempt"]["id"], night.claim, "{status}");
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
    assert_eq!(zombie.stop().await.unwrap(), Some(0));
    assert!(world.calls(&phone(1)).is_empty());
    world.finish().await.unwrap();
}
