//! SIGTERM: nothing new is sent, what runs is recorded, what was claimed is released.

use std::time::Duration;

use harness::cams_simulator::{Fault, Release, Stage, VERIFIED};
use harness::{Migration, Operator, World};
use serde_json::json;

use crate::{
    NEVER_FINAL, OPERATOR, PATIENCE, assert_verified, code, next_call, phone, reason, until,
};

/// Waits until `/readyz` no longer says 200: the process knows that it is to stop.
pub async fn until_not_ready(operator: &mut Operator) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let reply = operator.http("/readyz").await;
        if !reply.is_ok_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_running_call_is_recorded_before_the_exit() {
    let world = World::new(OPERATOR, "drain").await.unwrap();
    let number = phone(1);
    world
        .sim
        .add_fault(next_call(&number, Fault::gate(Stage::Counted)))
        .unwrap();
    let mut operator = world.operator(NEVER_FINAL).await.unwrap();
    world
        .ready_migration("drain", &number, &code(1))
        .await
        .unwrap();
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    operator.terminate().await.unwrap();
    until_not_ready(&mut operator).await;
    // Begun after the signal: not for this process.
    world
        .ready_migration("later", &phone(2), &code(2))
        .await
        .unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    let exit = operator.ended(Duration::from_secs(15)).await.unwrap();
    assert_eq!(exit, Some(0));
    let status = world.get("drain").await.unwrap().data["status"].clone();
    assert_verified(&status, &number);
    assert_eq!(world.executed(&number), 1);
    assert!(world.calls(&phone(2)).is_empty());
    world.finish().await.unwrap();
}

/// Six resources, one call a second: claims wait for their slots. Returns the index of one that
/// does.
async fn claims_that_wait(world: &World, numbers: &[String]) -> usize {
    for (n, number) in numbers.iter().enumerate() {
        let name = format!("r-{n}");
        world.number(number, &code(n), &format!("id-{number}"));
        world.code(&name, &code(n)).await.unwrap();
        // Looks have one slot a second as well, and would keep the claims apart.
        let sends = Migration::new(&name, number).spec(json!({"adoptIfVerified": false}));
        world.create(&sends).await.unwrap();
    }
    claimed_and_unsent(world, numbers).await
}

#[tokio::test]
async fn a_claim_that_was_not_sent_is_released_and_nothing_is_burnt() {
    let world = World::new(OPERATOR, "released").await.unwrap();
    let numbers: Vec<String> = (1..=6).map(phone).collect();
    let slow: Vec<&str> = NEVER_FINAL.iter().copied().chain(["--qps", "1"]).collect();
    let mut operator = world.operator(&slow).await.unwrap();
    let waiting = claims_that_wait(&world, &numbers).await;
    operator.terminate().await.unwrap();
    assert_eq!(
        operator.ended(Duration::from_secs(20)).await.unwrap(),
        Some(0)
    );
    let name = format!("r-{waiting}");
    let status = world.get(&name).await.unwrap().data["status"].clone();
    assert_eq!(status["attempt"]["outcome"], "NotSent", "{status}");
    assert!(world.calls(&numbers[waiting]).is_empty());
    for (n, number) in numbers.iter().enumerate() {
        let status = world.get(&format!("r-{n}")).await.unwrap().data["status"].clone();
        let open = status["attempt"].is_object() && status["attempt"]["outcome"].is_null();
        assert!(!open, "left open: {status}");
        assert_eq!(
            world.calls(number).len(),
            world.executed(number),
            "{status}"
        );
    }
    let _operator = world.operator(NEVER_FINAL).await.unwrap();
    for (n, number) in numbers.iter().enumerate() {
        let status = reason(&world, &format!("r-{n}"), "Verified").await;
        assert_verified(&status, number);
        assert_eq!(status["attempt"]["number"], 1, "{status}");
        assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
        assert_eq!(world.calls(number).len(), 1);
    }
    world.finish().await.unwrap();
}

/// The index of a resource whose claim stands in status and whose call was not received, right
/// after another's was: its slot is most of a second away.
async fn claimed_and_unsent(world: &World, numbers: &[String]) -> usize {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        for (n, number) in numbers.iter().enumerate() {
            let object = world.get(&format!("r-{n}")).await.unwrap();
            let attempt = &object.data["status"]["attempt"];
            let open = attempt.is_object() && attempt["outcome"].is_null();
            let last = world
                .sim
                .ledger()
                .into_iter()
                .rfind(|e| e.action == VERIFIED);
            let recent = last.is_some_and(|e| world.sim.now_us() < e.arrived_us + 400_000);
            if open && recent && world.calls(number).is_empty() {
                return n;
            }
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no claim waits for its slot"
        );
    }
}

/// A zombie: what it signed is too old when it wakes up.
#[tokio::test]
async fn c08_a_process_that_was_stopped_after_its_claim_does_not_send_late() {
    let world = World::new(OPERATOR, "zombie").await.unwrap();
    let numbers: Vec<String> = (1..=6).map(phone).collect();
    let slow: Vec<&str> = NEVER_FINAL.iter().copied().chain(["--qps", "1"]).collect();
    let operator = world.operator(&slow).await.unwrap();
    let waiting = claims_that_wait(&world, &numbers).await;
    operator.signal("STOP").await.unwrap();
    let name = format!("r-{waiting}");
    let status = world.get(&name).await.unwrap().data["status"].clone();
    let old = status["attempt"]["id"].as_str().unwrap().to_owned();
    let received = || world.calls(&numbers[waiting]).len();
    assert!(status["attempt"]["outcome"].is_null(), "{status}");
    assert_eq!(received(), 0);
    let slept = tokio::time::Instant::now() + Duration::from_secs(11);
    until("the signature is old", || {
        tokio::time::Instant::now() > slept
    })
    .await;
    assert_eq!(received(), 0);
    operator.signal("CONT").await.unwrap();
    let status = reason(&world, &name, "Verified").await;
    assert_verified(&status, &numbers[waiting]);
    assert_ne!(status["attempt"]["id"], old, "{status}");
    let late = |e: &harness::cams_simulator::Entry| e.nonce.as_deref() == Some(&old);
    assert!(
        !world.sim.ledger().iter().any(late),
        "the old signature was sent"
    );
    assert_eq!(received(), 1);
    world.finish().await.unwrap();
}
