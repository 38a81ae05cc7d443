//! Events are for people: no step of an attempt waits for them.

use super::*;

/// Three Events come before the last state, and each would cost its deadline of 5 s.
const FASTER_THAN: Duration = Duration::from_secs(12);

#[tokio::test]
async fn events_that_nobody_takes_delay_nothing() {
    let world = World::new(OPERATOR, "no-events").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let silence = proxy.rule(When::create("events"), Then::Hold);
    let mut operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    let number = phone(1);
    world.number(&number, &code(3), &format!("id-{number}"));
    world.make(&Migration::new("told", &number)).await;
    reason(&world, "told", "SecretNotFound").await;
    silence.hit().await.unwrap();
    let start = Instant::now();
    for (n, wanted) in [(1, "CodeRejected"), (2, "CodeRejected"), (3, "Verified")] {
        world.replace_code("told", &code(n)).await;
        let carried =
            |status: &Value| harness::reason(status) == wanted && status["attempt"]["number"] == n;
        world.until_status("told", carried).await;
    }
    let took = start.elapsed();
    verified(&world, "told", &number).await;
    assert_eq!(world.calls(&number).len(), 3);
    // Events of the attempts; the API server does not accept them either.
    for _ in 1..=3 {
        silence.hit().await.unwrap();
    }
    assert!(took < FASTER_THAN, "took {took:?}");
    let stopped = Instant::now();
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    assert!(stopped.elapsed() < FASTER_THAN, "{:?}", stopped.elapsed());
    world.finish().await.unwrap();
}
