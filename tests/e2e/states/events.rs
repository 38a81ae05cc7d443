//! Events: one per change, none for an unchanged state, and every documented reason.

use std::time::Duration;

use harness::cams_simulator::{Fault, Number, READ_STATUS, Release, Stage};
use harness::expect::until_events;
use harness::{Migration, World};
use serde_json::json;

use super::expect::*;

const GOOD: &str = "8613800001301";
const BAD: &str = "8613800001302";
const CODE: &str = "40718265";

#[tokio::test]
async fn there_is_one_event_per_change_and_none_for_a_state_that_stays() {
    let world = World::new(OPERATOR, "events").await.unwrap();
    world.number(GOOD, CODE, "id-1");
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", GOOD)).await;
    until(&world, "m", progress("SecretNotFound", "create it")).await;
    for _ in 0..3 {
        world.looked("m").await;
    }
    world.code("m", "none").await.unwrap();
    world.looked("m").await;
    new_code(&world, "m", "99887766").await;
    until(&world, "m", code_refused()).await;
    world.looked("m").await;
    new_code(&world, "m", CODE).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    world.looked("m").await;
    world.code("twin", "11223344").await.unwrap();
    world.make(&Migration::new("twin", GOOD)).await;
    until(
        &world,
        "twin",
        stalled("DuplicatePhoneNumber", false, "delete one of the two"),
    )
    .await;
    world.looked("twin").await;
    let wanted = ["SecretNotFound", "InvalidCode", "CodeRejected", "Verified"];
    until_events(&world, "m", &wanted).await;
    until_events(&world, "twin", &["DuplicatePhoneNumber"]).await;
    finish(&world).await;
}

/// The name of an Event contains its resource's name, and the API server allows 253 characters.
#[tokio::test]
async fn a_resource_with_the_longest_name_has_its_events() {
    let world = World::new(OPERATOR, "long-name-events").await.unwrap();
    let _operator = world.start(&[]).await;
    let names = ["a", "b"].map(|end| format!("{}{end}", "n".repeat(252)));
    for (name, phone) in names.iter().zip([GOOD, BAD]) {
        let secret = json!({"verifyCodeSecretRef": {"name": "s"}});
        let migration = Migration::new(name, phone).spec(secret);
        world.make(&migration).await;
    }
    for name in &names {
        until_events(&world, name, &["SecretNotFound"]).await;
    }
    finish(&world).await;
}

#[tokio::test]
async fn suspension_a_refused_request_and_a_recognised_code_are_events() {
    let world = World::new(OPERATOR, "other-events").await.unwrap();
    world
        .sim
        .add_number(Number::new(GOOD, CODE, "id-1").in_space("111"));
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    let spec = json!({"suspend": true});
    world.make(&Migration::new("m", GOOD).spec(spec)).await;
    until(&world, "m", suspended()).await;
    world.edit("m", json!({"suspend": false})).await;
    let refused = stalled("RequestRejected", true, "check custSpaceId, phoneNumber");
    until(&world, "m", refused).await;
    // The space refuses the pre-read as well.
    until_events(
        &world,
        "m",
        &["Suspended", "StatusUnreadable", "RequestRejected"],
    )
    .await;
    world.delete("m").await.unwrap();
    world.make(&Migration::new("m", GOOD)).await;
    until(&world, "m", refused).await;
    let wanted = [
        "Suspended",
        "StatusUnreadable",
        "RequestRejected",
        "RequestRejected",
    ];
    until_events(&world, "m", &wanted).await;
    assert_eq!(calls(&world, GOOD).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn the_outcome_of_a_resource_that_was_deleted_meanwhile_is_an_event() {
    let world = World::new(OPERATOR, "orphan").await.unwrap();
    world.next_call(Fault::gate(Stage::Executed));
    let _operator = world.start(&[]).await;
    world.migrate("m", GOOD, CODE).await;
    let held = world.sim.wait_held(Duration::from_secs(20)).await.unwrap();
    world.delete("m").await.unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    until_events(&world, "m", &["OutcomeWithoutResource"]).await;
    let notes: Vec<_> = world
        .events()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|e| e.note)
        .collect();
    assert!(notes[0].contains(&format!("Id id-{GOOD}")), "{notes:?}");
    assert_eq!(
        reads(&world, GOOD).len(),
        1,
        "{READ_STATUS} before the attempt only"
    );
    finish(&world).await;
}
