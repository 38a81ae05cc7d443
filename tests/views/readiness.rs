//! When a process says that it is ready.

use harness::{Operator, Then, When, World};
use tokio::time::Instant;

use crate::{NEVER_FINAL, OPERATOR, PATIENCE};

async fn until_readyz(operator: &mut Operator, holds: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = operator.http("/readyz").await;
        if let Ok(reply) = &said
            && holds(reply)
        {
            return reply.clone();
        }
        assert!(Instant::now() < deadline, "/readyz: {said:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// With several namespaces a process is ready when it has seen all of them, and names the one that
/// it waits for.
#[tokio::test]
async fn readiness_waits_for_the_list_of_every_namespace() {
    let world = World::new(OPERATOR, "ready").await.unwrap();
    let other = format!("{}-other", world.namespace);
    world.namespace(&other).await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let list = proxy.rule(When::list("phonemigrations").namespace(&other), Then::Hold);
    let both = format!("{},{other}", world.namespace);
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let launch = world.launch_via(&proxy.url(), &flags).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    list.hit_within(PATIENCE).await.unwrap();
    // The other list comes, and is not enough.
    let waits = |reply: &str| {
        reply.starts_with("HTTP/1.1 503") && reply.contains("are not listed yet") && {
            !reply.contains(&format!("of namespace {} are", world.namespace))
        }
    };
    let reply = until_readyz(&mut operator, waits).await;
    assert!(
        reply.contains(&format!("PhoneMigrations of namespace {other} are not")),
        "{reply}"
    );
    list.remove();
    operator.ready().await.unwrap();
    world.finish().await.unwrap();
}
