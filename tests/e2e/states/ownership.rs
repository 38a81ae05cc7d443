//! Several resources of one number, and those that may not act: duplicates and suspension.

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
    shows(&world, "first", code_refused()).await;
    world.make(&Migration::new("second", PHONE)).await;
    shows(&world, "second", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 2);
    // The first one's own code was refused, and that state stays; with another code it is a
    // duplicate.
    world.looked("first").await;
    shows(&world, "first", code_refused()).await;
    new_code(&world, "first", "55667788").await;
    let says = "PhoneMigration second in this namespace verified this phone number: delete one";
    shows(&world, "first", stalled("DuplicatePhoneNumber", says)).await;
    assert_eq!(world.calls(PHONE).len(), 2);
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
    shows(&world, "first", accepted()).await;
    world.make(&Migration::new("second", PHONE)).await;
    let says = "PhoneMigration first in this namespace verified this phone number: delete one";
    shows(&world, "second", stalled("DuplicatePhoneNumber", says)).await;
    world.looked("second").await;
    world.delete("first").await.unwrap();
    shows(
        &world,
        "second",
        verified("already verified; no code was spent"),
    )
    .await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_refused_code_shows_the_same_conclusion_for_every_resource_of_the_number() {
    let world = world("same-conclusion").await;
    world.code("first", "11223344").await.unwrap();
    world.code("second", "11223344").await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("first", PHONE)).await;
    let first = shows(&world, "first", code_refused()).await;
    world.make(&Migration::new("second", PHONE)).await;
    let second = shows(
        &world,
        "second",
        ended("CodeRejected", "by another PhoneMigration"),
    )
    .await;
    for field in ["errorCode", "requestId"] {
        assert_eq!(second[field], first[field], "{second}");
    }
    assert!(second["attempt"].is_null(), "{second}");
    assert!(second["history"].is_null(), "{second}");
    // No request of a user changes that.
    world.retry("second", "please").await;
    world.looked("second").await;
    assert_eq!(world.calls(PHONE).len(), 1);
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
    shows(&world, "first", progress("OutcomeUnknown", "until then")).await;
    world.make(&Migration::new("second", PHONE)).await;
    let says = "by another PhoneMigration is open until";
    shows(&world, "second", progress("Queued", says)).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    // Its end lets the other one go.
    shows(&world, "second", accepted()).await;
    let of_first = &world.ledgers().await.unwrap()[0]["entries"][1];
    assert_eq!(of_first["migration"]["name"], "first", "{of_first}");
    assert_eq!(of_first["outcome"], "UnknownFinal", "{of_first}");
    assert_eq!(world.calls(PHONE).len(), 2);
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
        let status = shows(&world, name, verified("")).await;
        assert_eq!(status["id"], "id-1", "{status}");
        submitted += u32::from(!status["attempt"].is_null());
    }
    assert_eq!(submitted, 1);
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_resource_of_another_namespace_that_verified_the_number_is_not_named() {
    let world = world("foreign").await;
    let (other, both) = world.second_namespace("secret-tenant").await;
    let code = json!({"code": CODE});
    let put = world.secret_in(&other, "hidden-name-code", code).await;
    put.unwrap();
    let hidden = Migration::new("hidden-name", PHONE);
    world.create_in(&other, &hidden).await.unwrap();
    let _operator = world.start(&["--watch-namespaces", &both]).await;
    shows_in(&world, &other, "hidden-name", accepted()).await;
    world.code("m", "11223344").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let says = "a PhoneMigration in another namespace verified this phone number";
    let status = shows(&world, "m", stalled("DuplicatePhoneNumber", says)).await;
    let text = format!("{status}{:?}", world.events().await.unwrap());
    for hidden in ["hidden-name", &other] {
        assert!(!text.contains(hidden), "{text}");
    }
    // The number is verified, and the first read shows it: no code is spent.
    let api = world.migrations_in(&other);
    let deleted = api.delete("hidden-name", &Default::default()).await;
    deleted.unwrap();
    shows(&world, "m", verified("already verified; no code was spent")).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_resource_without_a_code_neither_holds_a_number_nor_is_a_duplicate() {
    let world = world("squatter").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("squatter", PHONE)).await;
    shows(&world, "squatter", no_secret()).await;
    world.code("m", CODE).await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", accepted()).await;
    world.looked("squatter").await;
    shows(&world, "squatter", no_secret()).await;
    world.code("squatter", "11223344").await.unwrap();
    world.looked("squatter").await;
    let says = "PhoneMigration m in this namespace verified this phone number";
    shows(&world, "squatter", stalled("DuplicatePhoneNumber", says)).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn suspended_makes_no_call_until_it_is_unsuspended() {
    let world = world("suspended").await;
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    let spec = json!({"suspend": true});
    world.make(&Migration::new("m", PHONE).spec(spec)).await;
    shows(&world, "m", suspended()).await;
    world.looked("m").await;
    shows(&world, "m", suspended()).await;
    assert!(world.sim.ledger().is_empty());
    world.edit("m", json!({"suspend": false})).await;
    shows(&world, "m", accepted()).await;
    // Finished states stay as they are.
    world.edit("m", json!({"suspend": true})).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

#[tokio::test]
async fn suspension_does_not_stop_the_recording_of_an_open_attempt() {
    let world = world("suspended-open").await;
    world.next_call(Fault::gate(Stage::Executed));
    let _operator = world.begin(&[], "m", PHONE, CODE).await;
    let held = world.held().await;
    world.edit("m", json!({"suspend": true})).await;
    world.go_on(held);
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

#[tokio::test]
async fn a_suspended_refusal_keeps_its_reason_and_a_new_code_waits() {
    let world = world("suspended-refused").await;
    let _operator = world.begin(&[], "m", PHONE, "11223344").await;
    let rejected = code_refused();
    shows(&world, "m", rejected).await;
    world.edit("m", json!({"suspend": true})).await;
    new_code(&world, "m", CODE).await;
    world.looked("m").await;
    shows(&world, "m", rejected).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    world.edit("m", json!({"suspend": false})).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

/// A new code was on its way when the user suspended the resource: nothing is sent, and the state
/// must not claim that the operator acts by itself.
#[tokio::test]
async fn suspending_a_resource_in_the_queue_does_not_leave_it_queued() {
    let world = world("suspended-queued").await;
    let _operator = world.begin(&[], "m", PHONE, "11223344").await;
    shows(&world, "m", code_refused()).await;
    throttle_other(&world, "8613800000502", 8000).await;
    new_code(&world, "m", CODE).await;
    shows(&world, "m", progress("Queued", "quota")).await;
    world.edit("m", json!({"suspend": true})).await;
    shows(&world, "m", suspended()).await;
    shows(&world, "other", accepted()).await;
    world.looked("m").await;
    assert_eq!(world.calls(PHONE).len(), 1);
    world.edit("m", json!({"suspend": false})).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}
