//! The state that a new leader takes over, after a kill and after a throttle.

use harness::{crowd_name, crowd_phone};
use kube::api::PostParams;

use super::*;

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
        until("fifteen calls", || a.calls(&world).len() >= 15).await;
        renewed_by_a_late_clock(&world, &a).await;
        a.kill().await.unwrap();
        let took = until_leads(&mut b, Duration::from_secs(35)).await;
        // By its own observation, since the last change; by the time in the record it would take 25
        // s.
        assert!(took > Duration::from_secs(29), "{took:?}");
        assert_eq!(holder(&world).await, "b");
        for n in 0..RESOURCES {
            let (name, phone) = (crowd_name(n), crowd_phone(n));
            let ended = |status: &Value| match harness::reason(status) {
                "OutcomeUnknown" => world.executed(&phone) == 0,
                other => other == "Verified",
            };
            world.until_status(&name, ended).await;
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
        world.next_call(busy(20_000));
        world.migrate("store", "8613800007000", "12345678").await;
        reason(&world, "store", "Throttled").await;
        a.terminate().await.unwrap();
        until_leads(&mut b, AT_ONCE).await;
        world.migrate("late", "8613800007001", "12345678").await;
        for name in ["store", "late"] {
            reason(&world, name, "Verified").await;
        }
        let ledger = world.sim.ledger();
        let calls = ledger.iter().filter(|e| e.action == VERIFIED);
        let calls: Vec<u64> = calls.map(|e| e.arrived_us).collect();
        assert_eq!(calls.len(), 3);
        assert!(calls[1] - calls[0] > 18_000_000, "{calls:?}");
        finish(&world).await;
    });
}
