//! A turn comes while the API server delays every reconcile.

use super::*;

const QUEUED: usize = 12;
/// Each delays the only reconcile to its deadline of 5 s: together longer than a turn lives.
const SLOW: usize = 4;

/// The turn has expired when the reconcile finally runs: the resource asks for another one.
#[tokio::test]
async fn a_turn_that_nobody_came_for_in_time_is_asked_for_again() {
    let world = World::new(OPERATOR, "turn").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let hold = proxy.rule(When::get("secrets").name("slow-code"), Then::Hold);
    let flags = ["--max-concurrent-reconciles", "1", "--qps", "1"];
    let flags = [NEVER_FINAL, &flags].concat();
    let _operator = world.operator_via(&proxy, &flags).await.unwrap();
    for n in 0..QUEUED {
        let name = format!("queued{n}");
        world.migrate(&name, &phone(n), &code(n)).await;
    }
    let seen = |status: &Value| !harness::reason(status).is_empty();
    let last = format!("queued{}", QUEUED - 1);
    world.until_status(&last, seen).await;
    let secret = json!({"verifyCodeSecretRef": {"name": "slow-code"}});
    for n in 0..SLOW {
        let migration = Migration::new(format!("slow{n}"), phone(QUEUED + n));
        world.make(&migration.spec(secret.clone())).await;
    }
    for _ in 0..SLOW {
        hold.hit().await.unwrap();
    }
    hold.remove();
    for n in 0..QUEUED {
        let name = format!("queued{n}");
        let there = |status: &Value| harness::reason(status) == "Verified";
        world.until_status(&name, there).await;
    }
    world.finish().await.unwrap();
}
