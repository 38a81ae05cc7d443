//! The status of a resource that waits in the queue, and how seldom it is written again.

use super::*;

/// One call a second: the last of them waits for more than a minute.
const RESOURCES: usize = 72;

#[tokio::test]
async fn a_waiting_resource_is_told_a_coarse_bound_that_is_seldom_rewritten() {
    let world = World::new(OPERATOR, "queue").await.unwrap();
    world.code("shared", "40718265").await.unwrap();
    let secret = json!({"verifyCodeSecretRef": {"name": "shared-code"}});
    for n in 0..RESOURCES {
        let phone = format!("86138000030{n:02}");
        world.number(&phone, "40718265", &format!("id-{phone}"));
        let migration = Migration::new(format!("m{n:02}"), phone);
        world.make(&migration.spec(secret.clone())).await;
    }
    // The oldest go first, and creation times have whole seconds: the statuses below show which one
    // is last.
    let mut operator = world.start(&["--qps", "1"]).await;
    let queued = |status: &Value, bound: &str| {
        harness::reason(status) == "Queued" && message(status).contains(bound)
    };
    let far = "fewer than 120 come before it, less than 2 minutes at the full rate";
    let near = "fewer than 60 come before it, less than a minute at the full rate";
    let mut last = String::new();
    let one_is_far = async || {
        let objects = world.list().await.unwrap();
        let found = objects.iter().find(|object| queued(&object["status"], far));
        last = found
            .map_or("", |object| object["metadata"]["name"].as_str().unwrap())
            .to_owned();
        found.is_some()
    };
    until_asked("one waits that long", one_is_far).await;
    world
        .until_status(&last, |status| queued(status, near))
        .await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    // Thirty seconds and more of waiting cost two writes.
    let mut writes = world.requests().unwrap();
    writes.retain(|r| r.name == last && r.subresource == "status");
    assert_eq!(writes.len(), 2, "{last}");
    world.finish().await.unwrap();
}
