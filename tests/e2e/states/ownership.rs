//! Several resources of one number, and those that may not act: duplicates and suspension.

use std::time::Duration;

use harness::cams_simulator::{Fault, Release, Stage};
use harness::{Migration, World};
use serde_json::json;

use super::expect::*;

const PHONE: &str = "8613800000501";
const CODE: &str = "40718265";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world
}

#[tokio::test]
async fn a_refused_code_owns_nothing_and_another_resources_code_goes_at_once() {
    let world = world("no-owner").await;
    world.code("first", "11223344").await.unwrap();
    world.code("second", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("first", PHONE)).await;
    until(&world, "first", code_refused()).await;
    world.make(&Migration::new("second", PHONE)).await;
    until(&world, "second", verified("CAMS accepted the code")).await;
    assert_eq!(calls(&world, PHONE).len(), 2);
    // The first one's own code was refused, and that state stays; with another code it is a
    // duplicate.
    world.looked("first").await;
    until(&world, "first", code_refused()).await;
    new_code(&world, "first", "55667788").await;
    let says = "PhoneMigration second in this namespace verified this phone number: delete one";
    until(
        &world,
        "first",
        stalled("DuplicatePhoneNumber", false, says),
    )
    .await;
    assert_eq!(calls(&world, PHONE).len(), 2);
    finish(&world).await;
}

/// The deletion of the resource whose code verified the number blocks no other resource: the number
/// is verified, and nothing more is needed.
#[tokio::test]
async fn a_duplicate_adopts_the_number_when_the_resource_that_verified_it_is_gone() {
    let world = world("duplicate").await;
    world.code("first", CODE).await.unwrap();
    world.code("second", "11223344").await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("first", PHONE)).await;
    until(&world, "first", verified("CAMS accepted the code")).await;
    world.make(&Migration::new("second", PHONE)).await;
    let says = "PhoneMigration first in this namespace verified this phone number: delete one";
    until(
        &world,
        "second",
        stalled("DuplicatePhoneNumber", false, says),
    )
    .await;
    world.looked("second").await;
    world.delete("first").await.unwrap();
    until(
        &world,
        "second",
        verified("already verified; no code was spent"),
    )
    .await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_refused_code_shows_the_same_conclusion_for_every_resource_of_the_number() {
    let world = world("same-conclusion").await;
    world.code("first", "11223344").await.unwrap();
    world.code("second", "11223344").await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("first", PHONE)).await;
    let first = until(&world, "first", code_refused()).await;
    world.make(&Migration::new("second", PHONE)).await;
    let second = until(
        &world,
        "second",
        stalled("CodeRejected", true, "by another PhoneMigration"),
    )
    .await;
    for field in ["errorCode", "requestId"] {
        assert_eq!(second[field], first[field], "{second}");
    }
    assert!(
        second["attempt"].is_null() && second["history"].is_null(),
        "{second}"
    );
    // No request of a user changes that.
    world.retry("second", "please").await;
    world.looked("second").await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

/// I2: at most one attempt of a number is open, for any resource.
#[tokio::test]
async fn while_one_attempt_of_a_number_is_open_another_code_waits() {
    let world = world("open-elsewhere").await;
    world.next_call(Fault::close(Stage::Received));
    world.code("first", "11223344").await.unwrap();
    world.code("second", CODE).await.unwrap();
    let _operator = world.start(&["--signature-validity", "4s"]).await;
    world.make(&Migration::new("first", PHONE)).await;
    until(&world, "first", progress("OutcomeUnknown", "until then")).await;
    world.make(&Migration::new("second", PHONE)).await;
    let says = "by another PhoneMigration is open until";
    until(&world, "second", progress("Queued", says)).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    // Its end lets the other one go.
    until(&world, "second", verified("CAMS accepted the code")).await;
    let of_first = &world.ledgers().await.unwrap()[0]["entries"][1];
    assert_eq!(of_first["migration"]["name"], "first", "{of_first}");
    assert_eq!(of_first["outcome"], "UnknownFinal", "{of_first}");
    assert_eq!(calls(&world, PHONE).len(), 2);
    finish(&world).await;
}

/// All have the same code: one submits it, and each of the others learns from a read that the
/// number is verified.
#[tokio::test]
async fn two_resources_at_once_make_one_call() {
    let world = world("race").await;
    for name in ["a", "b", "c", "d"] {
        world.code(name, CODE).await.unwrap();
        world.make(&Migration::new(name, PHONE)).await;
    }
    let _operator = world.start(&[]).await;
    let mut submitted = 0;
    for name in ["a", "b", "c", "d"] {
        let status = until(&world, name, verified("")).await;
        assert_eq!(status["id"], "id-1", "{status}");
        submitted += u32::from(!status["attempt"].is_null());
    }
    assert_eq!(submitted, 1);
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_resource_of_another_namespace_that_verified_the_number_is_not_named() {
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
    let _operator = world.start(&["--watch-namespaces", &both]).await;
    until_in(
        &world,
        &other,
        "hidden-name",
        verified("CAMS accepted the code"),
    )
    .await;
    world.code("m", "11223344").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let says = "a PhoneMigration in another namespace verified this phone number";
    let status = until(&world, "m", stalled("DuplicatePhoneNumber", false, says)).await;
    let text = format!("{status}{:?}", world.events().await.unwrap());
    assert!(
        !text.contains("hidden-name") && !text.contains(&other),
        "{text}"
    );
    // The number is verified, and the first read shows it: no code is spent.
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
async fn a_resource_without_a_code_neither_holds_a_number_nor_is_a_duplicate() {
    let world = world("squatter").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("squatter", PHONE)).await;
    until(&world, "squatter", progress("SecretNotFound", "create it")).await;
    world.code("m", CODE).await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    world.looked("squatter").await;
    until(&world, "squatter", progress("SecretNotFound", "create it")).await;
    world.code("squatter", "11223344").await.unwrap();
    world.looked("squatter").await;
    let says = "PhoneMigration m in this namespace verified this phone number";
    until(
        &world,
        "squatter",
        stalled("DuplicatePhoneNumber", false, says),
    )
    .await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn suspended_makes_no_call_until_it_is_unsuspended() {
    let world = world("suspended").await;
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    let spec = json!({"suspend": true});
    world.make(&Migration::new("m", PHONE).spec(spec)).await;
    until(&world, "m", suspended()).await;
    world.looked("m").await;
    until(&world, "m", suspended()).await;
    assert!(world.sim.ledger().is_empty());
    world.edit("m", json!({"suspend": false})).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    // Finished states stay as they are.
    world.edit("m", json!({"suspend": true})).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

#[tokio::test]
async fn suspension_does_not_stop_the_recording_of_an_open_attempt() {
    let world = world("suspended-open").await;
    world.next_call(Fault::gate(Stage::Executed));
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let held = world.sim.wait_held(Duration::from_secs(20)).await.unwrap();
    world.edit("m", json!({"suspend": true})).await;
    assert!(world.sim.release(held.id, Release::Continue));
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

#[tokio::test]
async fn a_suspended_refusal_keeps_its_reason_and_a_new_code_waits() {
    let world = world("suspended-refused").await;
    world.code("m", "11223344").await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let rejected = code_refused();
    until(&world, "m", rejected).await;
    world.edit("m", json!({"suspend": true})).await;
    new_code(&world, "m", CODE).await;
    world.looked("m").await;
    until(&world, "m", rejected).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    world.edit("m", json!({"suspend": false})).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}

/// A new code was on its way when the user suspended the resource: nothing is sent, and the state
/// must not claim that the operator acts by itself.
#[tokio::test]
async fn suspending_a_resource_in_the_queue_does_not_leave_it_queued() {
    let world = world("suspended-queued").await;
    world.code("m", "11223344").await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    until(&world, "m", code_refused()).await;
    throttle_other(&world, "8613800000502", 8000).await;
    new_code(&world, "m", CODE).await;
    until(&world, "m", progress("Queued", "quota")).await;
    world.edit("m", json!({"suspend": true})).await;
    until(&world, "m", suspended()).await;
    until(&world, "other", verified("CAMS accepted the code")).await;
    world.looked("m").await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    world.edit("m", json!({"suspend": false})).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    finish(&world).await;
}
