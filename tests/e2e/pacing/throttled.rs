//! A long spell of throttling.

use harness::crowd_phone;

use super::*;

/// Returns how many calls the spell met.
async fn spell(name: &str, resources: u32, spell: Duration) -> usize {
    let world = world_with(name, resources).await;
    let _operator = operator(&world, NEVER_FINAL).await;
    let accepted = |e: &Entry| e.action == VERIFIED && e.decision == Decision::Accepted;
    let running = world.sim.wait_entry(Duration::from_secs(20), accepted);
    running.await.expect("it never began");
    let refusal = Refusal::new(400, "Throttling.User", "Request was denied.");
    let ms = u64::try_from(spell.as_millis()).unwrap();
    let phase = FaultRule::new(Fault::Throttle { ms, refusal }).action(VERIFIED);
    world.fault(phase);
    let all = world.until_all_verified(resources, patience(resources) + spell * 2);
    all.await.unwrap();
    let case = format!("C22, {resources} resources, throttled for {spell:?}");
    tell(&case, &world, Edges::Tenth);
    let met = throttled(&world.sim.ledger(), VERIFIED).len();
    println!("calls during the spell: {met}");
    for object in world.list().await.unwrap() {
        let attempt = &object["status"]["attempt"];
        assert_eq!(attempt["number"], 1, "a throttle spends no code: {object}");
        assert_eq!(attempt["outcome"], "Accepted", "{object}");
    }
    for n in 0..resources {
        assert_eq!(world.executed(&crowd_phone(n)), 1);
    }
    world.finish().await.unwrap();
    met
}

#[tokio::test]
async fn c22_a_spell_of_throttling_is_probed_and_not_hammered() {
    let _beside = beside().await;
    let met = spell("c22-slice", 40, Duration::from_secs(8)).await;
    assert!((1..=15).contains(&met), "{met}");
}

#[tokio::test]
#[ignore = "minutes: throttled for 30 s"]
async fn c22_100_resources_make_30_calls_at_most_while_throttled_for_30_s() {
    let _alone = alone().await;
    let met = spell("c22", 100, Duration::from_secs(30)).await;
    assert!((1..=30).contains(&met), "{met}");
}
