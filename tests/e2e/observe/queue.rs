//! The status of a resource that waits in the queue, and how seldom it is written again.

use std::time::Duration;

use harness::{Migration, World, message, reason};
use serde_json::Value;

use super::morning::OPERATOR;

/// One call a second: the last of them waits for more than a minute.
const RESOURCES: usize = 72;

#[tokio::test]
async fn a_waiting_resource_is_told_a_coarse_bound_that_is_seldom_rewritten() {
    let world = World::new(OPERATOR, "queue").await.unwrap();
    world.code("shared", "40718265").await.unwrap();
    let secret = serde_json::json!({"verifyCodeSecretRef": {"name": "shared-code"}});
    for n in 0..RESOURCES {
        let phone = format!("86138000030{n:02}");
        world.number(&phone, "40718265", &format!("id-{phone}"));
        let migration = Migration::new(format!("m{n:02}"), phone);
        world.make(&migration.spec(secret.clone())).await;
    }
    // The oldest go first, and creation times have whole seconds: the statuses below show which one
    // is last.
    let mut operator = world.start(&["--qps", "1"]).await;
    let queued =
        |status: &Value, bound: &str| reason(status) == "Queued" && message(status).contains(bound);
    let far = "fewer than 120 come before it, less than 2 minutes at the full rate";
    let near = "fewer than 60 come before it, less than a minute at the full rate";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let last = loop {
        assert!(
            tokio::time::Instant::now() < deadline,
            "nobody waits that long"
        );
        let objects = world.list().await.unwrap();
        let found = objects.iter().find(|object| queued(&object["status"], far));
        if let Some(object) = found {
            break object["metadata"]["name"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    world
        .until(&last, Duration::from_secs(50), |status| {
            queued(status, near)
        })
        .await
        .unwrap();
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    // Thirty seconds and more of waiting cost two writes.
    let requests = world.requests().unwrap();
    let writes = requests
        .iter()
        .filter(|r| r.name == last && r.subresource == "status");
    assert_eq!(writes.count(), 2, "{last}");
    world.finish().await.unwrap();
}
