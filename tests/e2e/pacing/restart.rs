//! A process that dies at full speed takes the knowledge of its last second with it.

use harness::{crowd_name, crowd_phone};

use super::yardstick::Yardstick;
use super::*;

const RESOURCES: u32 = 40;
/// Made after the restart: the second process has calls to send, however far the first one came.
const LATER: u32 = 5;
/// The window, and the allowance that a process begins with.
const SILENCE: Duration = Duration::from_millis(1_010);

/// Waits until the last second holds as many submissions as the quota allows.
async fn until_full_speed(world: &World) {
    let full = || {
        let now = world.sim.now_us();
        let recent = |e: &&Entry| e.action == VERIFIED && e.arrived_us + 1_000_000 > now;
        world.sim.ledger().iter().filter(recent).count() >= QUOTA as usize
    };
    until("full speed", full).await;
}

#[tokio::test]
async fn c23_a_restarted_process_is_silent_for_a_whole_window_first() {
    let _alone = alone().await;
    let world = world_with("c23", RESOURCES).await;
    let yardstick = Yardstick::start();
    let mut first = operator(&world, SOON_FINAL).await;
    until_full_speed(&world).await;
    let killed = Instant::now();
    first.kill().await.unwrap();
    let started_us = world.sim.now_us();
    let mut second = spawn(&world, SOON_FINAL);
    let gap = killed.elapsed();
    let (all, ours) = (RESOURCES + LATER, &world.namespace);
    world.fill(ours, RESOURCES..all).await.unwrap();
    second.ready().await.unwrap();
    for n in 0..all {
        let phone = crowd_phone(n);
        let ended = |s: &Value| {
            harness::reason(s) == "Verified"
                || (harness::reason(s) == "OutcomeUnknown" && world.executed(&phone) == 0)
        };
        world.until_status(&crowd_name(n), ended).await;
    }
    // Its own calls: those that the first process left in a socket do not count.
    let calls = second.calls(&world);
    let first_call = calls.first().expect("it made no call");
    let silent = Duration::from_micros(first_call.arrived_us - started_us);
    println!("C23: started {gap:?} after the kill, first call {silent:?} after its start");
    assert!(silent >= SILENCE, "{silent:?}");
    yardstick.assert_ten_back(&world);
    world.finish().await.unwrap();
}
