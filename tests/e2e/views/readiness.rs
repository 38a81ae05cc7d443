//! When a process reports that it is ready.

use super::*;

/// With several namespaces a process is ready when it has listed all of them, and names the one
/// that it waits for.
#[tokio::test]
async fn readiness_waits_for_the_list_of_every_namespace() {
    let world = World::new(OPERATOR, "ready").await.unwrap();
    let (other, both) = world.second_namespace("other").await;
    let proxy = world.proxy().await.unwrap();
    let list = proxy.rule(When::list("phonemigrations").namespace(&other), Then::Hold);
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let launch = world.launch_via(&proxy.url(), &flags).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    list.hit_within(PATIENCE).await.unwrap();
    // The other list comes: its watch began; so did a reconcile of its content.
    world.make(&Migration::new("m", "8613900000001")).await;
    reason(&world, "m", "SecretNotFound").await;
    let reply = operator.http("/readyz").await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
    let says = format!("PhoneMigrations of namespace {other} are not listed yet\n");
    assert!(reply.ends_with(&says), "{reply}");
    list.remove();
    operator.ready().await.unwrap();
    world.finish().await.unwrap();
}
