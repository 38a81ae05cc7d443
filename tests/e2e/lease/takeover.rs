//! The state that a new leader takes over, after a kill and after a throttle.

use std::time::Duration;

use harness::cams_simulator::{Fault, Refusal, Stage, VERIFIED};
use harness::{Operator, World, crowd_name, crowd_phone, reason};
use kube::api::PostParams;
use serde_json::Value;
use tokio::time::Instant;

use super::{AT_ONCE, LEASE, POLL, elector, finish, holder, leases, run, until_leads, world};

/// Renews the Lease as a leader does whose clock is five seconds behind. The leader is stopped
/// meanwhile: its own renewal would write another time.
async fn renewed_by_a_late_clock(world: &World, leader: &Operator) {
    leader.signal("STOP").await.unwrap();
    let mut lease = leases(world).await.get(LEASE).await.unwrap();
    if let Some(renewed) = lease.spec.as_mut().and_then(|s| s.renew_time.as_mut()) {
        renewed.0 -= Duration::from_secs(5);
    }
    let params = PostParams::default();
    let replaced = leases(world).await.replace(LEASE, &params, &lease).await;
    replaced.unwrap();
}

#[test]
fn c09_a_killed_leader_is_followed_after_its_time_and_its_calls_are_not_overlapped() {
    const RESOURCES: u32 = 40;
    run(async {
        let world = world("lease-kill").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        let namespace = &world.namespace;
        world.fill(namespace, 0..RESOURCES).await.unwrap();
        let start = Instant::now();
        while a.calls(&world).len() < 15 {
            assert!(start.elapsed() < AT_ONCE * 3, "{}", a.log());
            tokio::time::sleep(POLL).await;
        }
        renewed_by_a_late_clock(&world, &a).await;
        a.kill().await.unwrap();
        let took = until_leads(&mut b, Duration::from_secs(35)).await;
        // By its own observation, since the last change; by the time in the record it would take 25
        // s.
        assert!(took > Duration::from_secs(29), "{took:?}");
        assert_eq!(holder(&world).await, "b");
        for n in 0..RESOURCES {
            let (name, phone) = (crowd_name(n), crowd_phone(n));
            let ended = |status: &Value| match reason(status) {
                "OutcomeUnknown" => world.executed(&phone) == 0,
                other => other == "Verified",
            };
            let all = world.until(&name, Duration::from_secs(30), ended);
            all.await.unwrap();
        }
        let (last, first) = (a.calls(&world).pop(), b.calls(&world).remove(0));
        let apart = Duration::from_micros(first.arrived_us - last.unwrap().arrived_us);
        assert!(apart > Duration::from_secs(1), "{apart:?}");
        println!("C09: takeover after {took:?}, calls {apart:?} apart");
        finish(&world).await;
    });
}

#[test]
fn a_takeover_keeps_the_pause_that_the_service_asked_the_last_leader_for() {
    run(async {
        let world = world("lease-pause").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        let busy = Refusal::new(400, "Throttling.User", "busy").retry_after_ms(20_000);
        world.next_call(Fault::api(Stage::Counted, busy));
        let ready = |name, phone| world.ready_migration(name, phone, "12345678");
        ready("store", "8613800007000").await.unwrap();
        world.until_reason("store", "Throttled").await.unwrap();
        a.terminate().await.unwrap();
        until_leads(&mut b, AT_ONCE).await;
        ready("late", "8613800007001").await.unwrap();
        for name in ["store", "late"] {
            let there = |status: &Value| reason(status) == "Verified";
            let patience = Duration::from_secs(50);
            world.until(name, patience, there).await.unwrap();
        }
        let calls: Vec<u64> = world
            .sim
            .ledger()
            .iter()
            .filter(|e| e.action == VERIFIED)
            .map(|e| e.arrived_us)
            .collect();
        assert_eq!(calls.len(), 3);
        assert!(calls[1] - calls[0] > 18_000_000, "{calls:?}");
        finish(&world).await;
    });
}
