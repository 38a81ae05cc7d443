//! The process dies: everything that it had only in memory is lost.

use harness::requests_of;

use super::*;

#[tokio::test]
async fn a_verified_resource_costs_nothing_after_a_restart() {
    let world = World::new(OPERATOR, "quiet").await.unwrap();
    let mut operator = world.start(NEVER_FINAL).await;
    for n in 1..=3 {
        let name = format!("old-{n}");
        world.migrate(&name, &phone(n), &code(n)).await;
        reason(&world, &name, "Verified").await;
    }
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    let (ledger, before) = (world.sim.ledger().len(), world.requests().unwrap().len());
    let _operator = world.start(NEVER_FINAL).await;
    // The newest is reconciled last; when it is verified, the old ones were reconciled.
    world.migrate("new", &phone(9), &code(9)).await;
    reason(&world, "new", "Verified").await;
    let about_old = |e: &&Entry| e.phone != Some(phone(9));
    let ledger_now = world.sim.ledger();
    assert_eq!(ledger_now[ledger..].iter().filter(about_old).count(), 0);
    let requests = world.requests().unwrap();
    for n in 1..=3 {
        let about = requests_of(&requests[before..], &format!("old-{n}")).len();
        assert_eq!(about, 0, "requests about a verified resource");
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_resource_restored_without_its_status_is_adopted_without_a_call() {
    for restarted in [true, false] {
        let world = World::new(OPERATOR, "restored").await.unwrap();
        let number = phone(1);
        let mut operator = world.start(NEVER_FINAL).await;
        world.migrate("r", &number, &code(1)).await;
        reason(&world, "r", "Verified").await;
        if restarted {
            operator.kill().await.unwrap();
        }
        world.delete("r").await.unwrap();
        world.make(&Migration::new("r", &number)).await;
        if restarted {
            operator = world.start(NEVER_FINAL).await;
        }
        verified(&world, "r", &number).await;
        assert_eq!(world.calls(&number).len(), 1, "restarted: {restarted}");
        drop(operator);
        world.finish().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_the_attempt_is_observed() {
    let world = World::new(OPERATOR, "twice").await.unwrap();
    let number = phone(1);

    world.next_call_of(&number, Fault::gate(Stage::Counted));
    let mut operator = world.start(NEVER_FINAL).await;
    world.migrate("twice", &number, &code(1)).await;
    let held = world.held().await;
    operator.terminate().await.unwrap();
    super::terminate::until_not_ready(&mut operator).await;
    operator.terminate().await.unwrap();
    let exit = operator.ended(Duration::from_secs(5)).await.unwrap();
    assert_eq!(exit, Some(0));
    world.go_on(held);
    let _operator = world.start(NEVER_FINAL).await;
    verified(&world, "twice", &number).await;
    assert_eq!(world.executed(&number), 1);
    world.finish().await.unwrap();
}
