//! One cause under a Code that is in no list: it spends few codes, and all other resources go on
//! after it.

use harness::{crowd_name, crowd_phone};

use super::expect::*;

const RESOURCES: u32 = 12;

async fn statuses(world: &World) -> Vec<Value> {
    let objects = world.list().await.unwrap();
    objects.into_iter().map(|o| o["status"].clone()).collect()
}

fn is(status: &Value, reason: &str) -> bool {
    harness::reason(status) == reason
}

async fn until_all(world: &World, what: &str, holds: impl Fn(&[Value]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let all = statuses(world).await;
        if holds(&all) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {all:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The third answer is read before the fourth code may go, so three codes are spent. The others
/// show what they wait for, and go when a probe finds that the cause is gone.
#[tokio::test]
async fn one_cause_under_an_unknown_code_spends_three_codes() {
    let world = World::new(OPERATOR, "brake").await.unwrap();
    let refusal = Refusal::new(400, "Account.Frozen", "The request cannot be served.");
    let rule = FaultRule::new(Fault::api(Stage::Received, refusal)).action(VERIFIED);
    let phase = world.sim.add_fault(rule).unwrap();
    world.fill(&world.namespace, 0..RESOURCES).await.unwrap();
    let _operator = world.start(&[]).await;
    let waits = |status: &Value| message(status).contains("tries one at a time");
    until_all(&world, "the brake opens", |all| {
        let waiting = all.iter().filter(|status| waits(status)).count();
        let refused = all.iter().filter(|status| is(status, "CodeRejected"));
        waiting + refused.count() == all.len()
    })
    .await;
    world.sim.remove_fault(phase);
    let settled = |status: &Value| is(status, "CodeRejected") || is(status, "Verified");
    until_all(&world, "all settle", |all| all.iter().all(settled)).await;
    let mut refused = 0;
    for n in 0..RESOURCES {
        let (name, phone) = (crowd_name(n), crowd_phone(n));
        let status = world.status(&name).await;
        refused += usize::from(is(&status, "CodeRejected"));
        assert_eq!(world.calls(&phone).len(), 1, "{name}: {status}");
    }
    // A busy machine may read the third answer late, or remove the fault late.
    assert!((3..=5).contains(&refused), "{refused}");
    finish(&world).await;
}
