//! Events: one per change, none for an unchanged state, and every documented reason.

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
    shows(&world, "m", no_secret()).await;
    for _ in 0..3 {
        world.looked("m").await;
    }
    world.code("m", "none").await.unwrap();
    world.looked("m").await;
    new_code(&world, "m", "99887766").await;
    shows(&world, "m", code_refused()).await;
    world.looked("m").await;
    new_code(&world, "m", CODE).await;
    shows(&world, "m", accepted()).await;
    world.looked("m").await;
    world.code("twin", "11223344").await.unwrap();
    world.make(&Migration::new("twin", GOOD)).await;
    let duplicate = stalled("DuplicatePhoneNumber", "delete one of the two");
    shows(&world, "twin", duplicate).await;
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
    let elsewhere = Number::new(GOOD, CODE, "id-1").in_space("111");
    world.sim.add_number(elsewhere);
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    let spec = json!({"suspend": true});
    world.make(&Migration::new("m", GOOD).spec(spec)).await;
    shows(&world, "m", suspended()).await;
    world.edit("m", json!({"suspend": false})).await;
    let refused = ended("RequestRejected", "check custSpaceId, phoneNumber");
    shows(&world, "m", refused).await;
    // The space refuses the pre-read as well.
    let wanted = ["Suspended", "StatusUnreadable", "RequestRejected"];
    until_events(&world, "m", &wanted).await;
    world.delete("m").await.unwrap();
    world.make(&Migration::new("m", GOOD)).await;
    shows(&world, "m", refused).await;
    let twice = [&wanted[..], &["RequestRejected"]].concat();
    until_events(&world, "m", &twice).await;
    assert_eq!(world.calls(GOOD).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn the_outcome_of_a_resource_that_was_deleted_meanwhile_is_an_event() {
    let world = World::new(OPERATOR, "orphan").await.unwrap();
    world.next_call(Fault::gate(Stage::Executed));
    let _operator = world.start(&[]).await;
    world.migrate("m", GOOD, CODE).await;
    let held = world.held().await;
    world.delete("m").await.unwrap();
    world.go_on(held);
    until_events(&world, "m", &["OutcomeWithoutResource"]).await;
    let events = world.events().await.unwrap();
    let note = events[0].note.as_deref().unwrap();
    assert_says(note, &[&format!("Id id-{GOOD}")]);
    assert_eq!(world.reads(GOOD).len(), 1, "only before the attempt");
    finish(&world).await;
}
