//! A path whose delays vary: a few throttles teach the allowance, and then there are none.

use tcp_proxy::{Flow, TcpProxy, Toxics};

use super::*;

/// One way, uniform from zero.
const JITTER: Duration = Duration::from_millis(50);
/// The allowance begins at 10 ms and doubles with each pause: 20, 40, 80.
const LESSONS: usize = 3;
/// Throttles of calls that were in flight together belong to one pause.
const ONE_PAUSE_US: u64 = 500_000;

/// When the pauses of an action began.
fn pauses(world: &World, action: &str) -> Vec<u64> {
    let mut pauses: Vec<u64> = Vec::new();
    let mut last = None;
    for entry in throttled(&world.sim.ledger(), action) {
        let begins = last.is_none_or(|last| entry.arrived_us > last + ONE_PAUSE_US);
        if begins {
            pauses.push(entry.arrived_us);
        }
        last = Some(entry.arrived_us);
    }
    pauses
}

/// How many calls were made, and how many of them were throttled.
async fn jittery(name: &str, resources: u32) -> (u64, u64) {
    let _alone = alone().await;
    let world = world_with(name, resources).await;
    let proxy = TcpProxy::start(world.sim.address(), seed()).unwrap();
    proxy.set(Toxics::both(Flow::default().jitter(JITTER)));
    let url = proxy.url();
    let through = [NEVER_FINAL, &["--cams-endpoint", &url]].concat();
    let _operator = operator(&world, &through).await;
    let within = patience(resources);
    world.until_all_verified(resources, within).await.unwrap();
    let case = format!("C20, {resources} resources, 0 to 50 ms");
    tell(&case, &world, Edges::Tenth);
    for action in [VERIFIED, READ_STATUS] {
        let pauses = pauses(&world, action);
        println!("pauses of {action}, microseconds: {pauses:?}");
        assert!(pauses.len() <= LESSONS, "it does not learn: {pauses:?}");
    }
    let figures = world.finish().await.unwrap();
    let total = figures.summary.total;
    let accepted = figures.summary.action(VERIFIED).counts.accepted;
    assert_eq!(accepted, u64::from(resources));
    (total.received, total.throttled)
}

#[tokio::test]
async fn c20_a_jittery_path_teaches_its_allowance_and_loses_nothing() {
    jittery("c20-slice", 80).await;
}

#[tokio::test]
#[ignore = "two minutes: 600 resources"]
async fn c20_600_resources_with_50_ms_of_jitter_are_throttled_once_in_a_hundred_at_most() {
    let (calls, throttled) = jittery("c20", 600).await;
    one_in_a_hundred(calls, throttled);
}
