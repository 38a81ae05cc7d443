//! A steady path: nothing is throttled, and hardly a slot is lost.

use super::yardstick::Yardstick;
use super::*;

const MIDDLE: Duration = Duration::from_secs(50);

/// The share of the quota that was used in the middle of the run, and how many calls were
/// throttled.
async fn steady(name: &str, resources: u32, processing_ms: u64) -> (f64, u64) {
    let _alone = alone().await;
    let world = world_with(name, resources).await;
    world.sim.set_processing(processing_ms);
    let yardstick = Yardstick::start();
    let _operator = operator(&world, NEVER_FINAL).await;
    let within = patience(resources);
    world.until_all_verified(resources, within).await.unwrap();
    let edges = Edges::AllBut(MIDDLE);
    let case = format!("C19, {resources} resources, {processing_ms} ms");
    tell(&case, &world, edges);
    yardstick.assert_ten_back(&world);
    let figures = world.finish().await.unwrap();
    let used = utilisation(&world.sim.ledger(), edges);
    (used, figures.summary.total.throttled)
}

#[tokio::test]
async fn c19_a_steady_path_is_never_throttled() {
    steady("c19-slice", 100, 300).await;
}

async fn uses_98_percent(name: &str, processing_ms: u64) {
    let (used, throttled) = steady(name, 600, processing_ms).await;
    let what = format!("C19: used {used:.4}, throttled {throttled}");
    figure(used >= 0.98 && throttled == 0, &what);
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_5_ms_use_98_percent_of_the_quota() {
    uses_98_percent("c19-5", 5).await;
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_300_ms_use_98_percent_of_the_quota() {
    uses_98_percent("c19-300", 300).await;
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_1_s_use_98_percent_of_the_quota() {
    uses_98_percent("c19-1000", 1000).await;
}
