//! A steady path: nothing is throttled, and hardly a slot is lost.

use std::time::Duration;

use super::yardstick::Yardstick;
use super::{Edges, NEVER_FINAL, alone, figure, operator, patience, tell, utilisation, world_with};

const MIDDLE: Duration = Duration::from_secs(50);

/// The share of the quota that was used in the middle of the run, and how many calls were
/// throttled.
async fn steady(name: &str, resources: u32, processing_ms: u64) -> (f64, u64) {
    let _alone = alone().await;
    let world = world_with(name, resources).await;
    world.sim.set_processing(processing_ms);
    let yardstick = Yardstick::start();
    let _operator = operator(&world, NEVER_FINAL).await;
    let all = world.until_all_verified(resources, patience(resources));
    all.await.unwrap();
    let edges = Edges::AllBut(MIDDLE);
    tell(
        &format!("C19, {resources} resources, {processing_ms} ms"),
        &world,
        edges,
    );
    yardstick.assert_ten_back(&world);
    let figures = world.finish().await.unwrap();
    let used = utilisation(&world.sim.ledger(), edges);
    (used, figures.summary.total.throttled)
}

#[tokio::test]
async fn c19_a_steady_path_is_never_throttled() {
    steady("c19-slice", 100, 300).await;
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_5_ms_use_98_percent_of_the_quota() {
    let (used, throttled) = steady("c19-5", 600, 5).await;
    figure(
        used >= 0.98 && throttled == 0,
        &format!("C19: used {used:.4}, throttled {throttled}"),
    );
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_300_ms_use_98_percent_of_the_quota() {
    let (used, throttled) = steady("c19-300", 600, 300).await;
    figure(
        used >= 0.98 && throttled == 0,
        &format!("C19: used {used:.4}, throttled {throttled}"),
    );
}

#[tokio::test]
#[ignore = "a minute: 600 resources"]
async fn c19_600_resources_at_1_s_use_98_percent_of_the_quota() {
    let (used, throttled) = steady("c19-1000", 600, 1000).await;
    figure(
        used >= 0.98 && throttled == 0,
        &format!("C19: used {used:.4}, throttled {throttled}"),
    );
}
