//! Who owns a number, and who may not act: duplicates and suspension.

use std::time::Duration;

use harness::cams_simulator::{Fault, FaultRule, Release, Stage, VERIFIED};
use harness::{Migration, World};
use serde_json::json;

use crate::expect::*;

const PHONE: &str = "8613800000501";
const CODE: &str = "40718265";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world
}

fn suspended_spec(suspend: bool) -> serde_json::Value {
    json!({"spec": {"suspend": suspend}})
}

#[tokio::test]
async fn the_second_resource_of_a_number_is_a_duplicate_until_the_owner_goes() {
    let world = world("duplicate").await;
    world.code("first", "11223344").await.unwrap();
    world.code("second", CODE).await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    world.create(&Migration::new("first", PHONE)).await.unwrap();
    // It spent a code: it owns the number from then on.
    until(
        &world,
        "first",
        stalled("CodeRejected", true, "request a new code"),
    )
    .await;
    world
        .create(&Migration::new("second", PHONE))
        .await
        .unwrap();
    let says = "PhoneMigration first of this namespace owns this phone number: delete one";
    until(
        &world,
        "second",
        stalled("DuplicatePhoneNumber", false, says),
    )
    .await;
    looked(&world, "second").await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    world.delete("first").await.unwrap();
    until(&world, "second", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

#[tokio::test]
async fn two_resources_at_once_make_one_call() {
    let world = world("race").await;
    for name in ["a", "b", "c", "d"] {
        world.code(name, CODE).await.unwrap();
        world.create(&Migration::new(name, PHONE)).await.unwrap();
    }
    let _operator = world.operator(&[]).await.unwrap();
    let settled = |status: &serde_json::Value| {
        ["Verified", "DuplicatePhoneNumber"].contains(&harness::reason(status))
    };
    let mut reasons = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let status = world
            .until(name, Duration::from_secs(30), settled)
            .await
            .unwrap();
        reasons.push(harness::reason(&status).to_owned());
    }
    reasons.sort();
    assert_eq!(reasons[3], "Verified", "{reasons:?}");
    assert!(
        reasons[..3].iter().all(|r| r == "DuplicatePhoneNumber"),
        "{reasons:?}"
    );
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_not_named() {
    let world = world("foreign").await;
    let other = format!("{}-secret-tenant", world.namespace);
    world.namespace(&other).await.unwrap();
    world
        .secret_in(&other, "hidden-name-code", json!({"code": CODE}))
        .await
        .unwrap();
    world
        .create_in(&other, &Migration::new("hidden-name", PHONE))
        .await
        .unwrap();
    let both = format!("{},{other}", world.namespace);
    let _operator = world
        .operator(&["--watch-namespaces", &both])
        .await
        .unwrap();
    until_in(
        &world,
        &other,
        "hidden-name",
        verified("CAMS accepted the code"),
    )
    .await;
    world.code("m", "11223344").await.unwrap();
    world.create(&Migration::new("m", PHONE)).await.unwrap();
    let says = "A PhoneMigration in another namespace owns this phone number";
    let status = until(&world, "m", stalled("DuplicatePhoneNumber", false, says)).await;
    let text = format!("{status}{:?}", world.events().await.unwrap());
    assert!(
        !text.contains("hidden-name") && !text.contains(&other),
        "{text}"
    );
    // The number is verified, and says so to whoever reads it first: no code is spent.
    world
        .migrations_in(&other)
        .delete("hidden-name", &Default::default())
        .await
        .unwrap();
    until(&world, "m", verified("already verified; no code was spent")).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn who_has_no_usable_code_does_not_squat_on_a_number() {
    let world = world("squatter").await;
    let _operator = world.operator(&[]).await.unwrap();
    world
        .create(&Migration::new("squatter", PHONE))
        .await
        .unwrap();
    until(&world, "squatter", progress("SecretNotFound", "create it")).await;
    world.code("m", CODE).await.unwrap();
    world.create(&Migration::new("m", PHONE)).await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    let says = "PhoneMigration m of this namespace owns this phone number";
    until(
        &world,
        "squatter",
        stalled("DuplicatePhoneNumber", false, says),
    )
    .await;
    finish(&world).await;
}

#[tokio::test]
async fn suspended_makes_no_call_until_it_is_unsuspended() {
    let world = world("suspended").await;
    world.code("m", CODE).await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    let spec = json!({"suspend": true});
    world
        .create(&Migration::new("m", PHONE).spec(spec))
        .await
        .unwrap();
    until(&world, "m", suspended()).await;
    looked(&world, "m").await;
    until(&world, "m", suspended()).await;
    assert!(world.sim.ledger().is_empty());
    world.patch("m", suspended_spec(false)).await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    // Finished states stay as they are.
    world.patch("m", suspended_spec(true)).await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

#[tokio::test]
async fn suspension_does_not_stop_the_recording_of_an_open_attempt() {
    let world = world("suspended-open").await;
    let gate = FaultRule::new(Fault::gate(Stage::Executed)).action(VERIFIED);
    world.sim.add_fault(gate.once()).unwrap();
    world.code("m", CODE).await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    world.create(&Migration::new("m", PHONE)).await.unwrap();
    let held = world.sim.wait_held(Duration::from_secs(20)).await.unwrap();
    world.patch("m", suspended_spec(true)).await.unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

#[tokio::test]
async fn a_suspended_refusal_keeps_its_reason_and_a_new_code_waits() {
    let world = world("suspended-refused").await;
    world.code("m", "11223344").await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    world.create(&Migration::new("m", PHONE)).await.unwrap();
    let rejected = stalled("CodeRejected", true, "request a new code");
    until(&world, "m", rejected).await;
    world.patch("m", suspended_spec(true)).await.unwrap();
    new_code(&world, "m", CODE).await;
    looked(&world, "m").await;
    until(&world, "m", rejected).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    world.patch("m", suspended_spec(false)).await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

/// A new code was on its way when somebody pulled the brake: nothing is sent, and the state must
/// not claim that the operator acts by itself.
#[tokio::test]
async fn suspending_a_resource_in_the_queue_does_not_leave_it_queued() {
    let world = world("suspended-queued").await;
    world.code("m", "11223344").await.unwrap();
    let _operator = world.operator(&[]).await.unwrap();
    world.create(&Migration::new("m", PHONE)).await.unwrap();
    until(
        &world,
        "m",
        stalled("CodeRejected", true, "request a new code"),
    )
    .await;
    let busy =
        harness::cams_simulator::Refusal::new(400, "Throttling.User", "busy").retry_after_ms(8000);
    let rule = FaultRule::new(Fault::api(Stage::Counted, busy))
        .action(VERIFIED)
        .once();
    world.sim.add_fault(rule).unwrap();
    world
        .ready_migration("other", "8613800000502", "77665544")
        .await
        .unwrap();
    until(
        &world,
        "other",
        progress("Throttled", "the code was not spent"),
    )
    .await;
    new_code(&world, "m", CODE).await;
    until(&world, "m", progress("Queued", "quota")).await;
    world.patch("m", suspended_spec(true)).await.unwrap();
    until(&world, "m", suspended()).await;
    until(&world, "other", verified("CAMS accepted the code")).await;
    looked(&world, "m").await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    world.patch("m", suspended_spec(false)).await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}
