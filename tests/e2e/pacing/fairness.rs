//! One resource of one namespace against thousands of another.

use harness::crowd_phone;

use super::*;

/// Its turn comes after two rounds at most, and after those that already had their turns: three
/// seconds' worth of the rate at most.
const BEFORE_IT: usize = 2 * 2 + 3 * QUOTA as usize;

async fn one_beside(name: &str, many: u32) {
    let world = World::new(OPERATOR, name).await.unwrap();
    let (other, both) = world.second_namespace("b").await;
    world.fill(&world.namespace, 0..many).await.unwrap();
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let _operator = operator(&world, &flags).await;
    let submission = |e: &Entry| e.action == VERIFIED;
    let running = world.sim.wait_entry(Duration::from_secs(20), submission);
    let begun = running.await.expect("it never began").seq;
    let created_us = world.sim.now_us();
    world.fill(&other, many..many + 1).await.unwrap();
    let phone = crowd_phone(many);
    let its = |e: &Entry| submission(e) && e.phone.as_deref() == Some(&phone);
    let call = world.sim.wait_entry(Duration::from_secs(40), its).await;
    let call = call.expect("its turn never came");
    let ahead = |e: &&Entry| submission(e) && e.arrived_us > created_us && e.seq < call.seq;
    let ahead = world.sim.ledger_since(begun).iter().filter(ahead).count();
    let took = Duration::from_micros(call.arrived_us - created_us);
    println!("C24: beside {many} resources: called after {took:?}, {ahead} calls of the others");
    assert!(ahead <= BEFORE_IT, "{ahead} went first");
    let name = harness::crowd_name(many);
    reason_in(&world, &other, &name, "Verified").await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c24_a_namespace_with_one_resource_does_not_wait_for_one_with_hundreds() {
    let _beside = beside().await;
    one_beside("c24-slice", 200).await;
}

#[tokio::test]
#[ignore = "a minute: 2,000 resources"]
async fn c24_a_namespace_with_one_resource_does_not_wait_for_one_with_2000() {
    let _alone = alone().await;
    one_beside("c24", 2_000).await;
}
