//! A process that gets a twentieth of a core: late in everything, and never over the quota.

use super::cpu::Share;
use super::yardstick::Yardstick;
use super::*;

const PERCENT: u32 = 5;

/// How many calls were made, and how many of them were throttled.
async fn starved(name: &str, resources: u32, within: Duration) -> (u64, u64) {
    let _alone = alone().await;
    let world = world_with(name, resources).await;
    let yardstick = Yardstick::start();
    let operator = operator(&world, NEVER_FINAL).await;
    let pid = operator.pid().unwrap();
    let share = Share::of(pid, PERCENT);
    println!("{PERCENT} % CPU by {}", share.means());
    world.until_all_verified(resources, within).await.unwrap();
    drop(share);
    let case = format!("C20, {resources} resources, {PERCENT} % CPU");
    tell(&case, &world, Edges::Tenth);
    yardstick.assert_ten_back(&world);
    let figures = world.finish().await.unwrap();
    let accepted = figures.summary.action(VERIFIED).counts.accepted;
    assert_eq!(accepted, u64::from(resources));
    let total = figures.summary.total;
    (total.received, total.throttled)
}

#[tokio::test]
async fn c20_a_starved_process_loses_nothing_and_keeps_the_quota() {
    starved("c20-cpu-slice", 15, Duration::from_secs(50)).await;
}

#[tokio::test]
#[ignore = "minutes: 200 resources with a twentieth of a core"]
async fn c20_200_resources_with_5_percent_cpu_are_throttled_once_in_a_hundred_at_most() {
    let (calls, throttled) = starved("c20-cpu", 200, Duration::from_secs(900)).await;
    one_in_a_hundred(calls, throttled);
}
