//! A process that gets a twentieth of a core: late in everything, and never over the quota.

use harness::cams_simulator::VERIFIED;

use crate::cpu::Share;
use crate::{Edges, NEVER_FINAL, alone, operator, tell, world_with};

const PERCENT: u32 = 5;

/// How many calls were made, and how many of them were throttled.
async fn starved(name: &str, resources: u32, within: std::time::Duration) -> (u64, u64) {
    let _alone = alone().await;
    let world = world_with(name, resources).await;
    let operator = operator(&world, NEVER_FINAL).await;
    let share = Share::of(operator.pid().unwrap(), PERCENT);
    println!("{PERCENT} % CPU by {}", share.means());
    let all = world.until_all_verified(resources, within);
    all.await.unwrap();
    drop(share);
    tell(
        &format!("C20, {resources} resources, {PERCENT} % CPU"),
        &world,
        Edges::Tenth,
    );
    let figures = world.finish().await.unwrap();
    let accepted = figures.summary.action(VERIFIED).counts.accepted;
    assert_eq!(accepted, u64::from(resources));
    let total = figures.summary.total;
    (total.received, total.throttled)
}

#[tokio::test]
async fn c20_a_starved_process_loses_nothing_and_keeps_the_quota() {
    let (calls, throttled) = starved("c20-cpu-slice", 15, std::time::Duration::from_secs(50)).await;
    assert_eq!(throttled, 0, "of {calls}");
}

#[tokio::test]
#[ignore = "minutes: 200 resources with a twentieth of a core"]
async fn c20_200_resources_with_5_percent_cpu_are_throttled_once_in_a_hundred_at_most() {
    let (calls, throttled) = starved("c20-cpu", 200, std::time::Duration::from_secs(900)).await;
    assert!(throttled * 100 <= calls, "{throttled} of {calls}");
}
