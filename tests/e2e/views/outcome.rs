//! The outcome is known, and the API server does not accept it.

use harness::cams_simulator::Delivery;

use super::*;

/// The API server is unavailable from the reply until `outage` after it.
async fn away_at_the_reply(name: &str, outage: Duration) {
    let world = World::new(OPERATOR, name).await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("c05", &number, &code(1)).await;
    let held = world.held().await;
    proxy.down().await.unwrap();
    world.go_on(held);
    let replied = || world.calls(&number)[0].delivery == Delivery::Complete;
    until("the reply is out", replied).await;
    operator.until_logged("Outcome not recorded yet").await;
    tokio::time::sleep(outage).await;
    proxy.up().await.unwrap();
    // From memory, not found by a read.
    by_one_call(&world, "c05", &number).await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c05_an_outcome_outlives_an_api_server_that_is_away_for_ten_seconds() {
    away_at_the_reply("v05", Duration::from_secs(10)).await;
}

#[tokio::test]
#[ignore = "takes more than a minute"]
async fn c05_an_outcome_outlives_an_api_server_that_is_away_for_a_minute() {
    away_at_the_reply("v05-long", Duration::from_secs(60)).await;
}

/// The resource changes while the outcome is on its way, eight times in a row.
#[tokio::test]
async fn c07_an_outcome_that_meets_eight_conflicts_is_recorded() {
    const CONFLICTS: usize = 8;
    let world = World::new(OPERATOR, "v07").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let meets = outcome_of("c07").times(CONFLICTS as u64);
    let hold = proxy.rule(meets, Then::Hold);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("c07", &number, &code(1)).await;
    for n in 0..CONFLICTS {
        let outcome = hold.hit().await.unwrap();
        let ledger = outcome.body["metadata"]["name"].as_str().unwrap();
        world.touch_ledger(ledger, n).await.unwrap();
        hold.release();
    }
    by_one_call(&world, "c07", &number).await;
    let recorded = |request: &&harness::fault_proxy::Request| {
        request.body["entries"][0]["outcome"].is_string()
    };
    let requests = proxy.requests();
    let answers: Vec<_> = requests
        .iter()
        .filter(recorded)
        .map(|r| r.upstream)
        .collect();
    let conflicts = [Some(409); CONFLICTS];
    assert_eq!(answers, [&conflicts[..], &[Some(200)]].concat());
    world.finish().await.unwrap();
}

/// The outcome is stored and its reply lost: the operator finds it, and leaves it as it is.
#[tokio::test]
async fn an_outcome_whose_reply_is_lost_is_recorded_once() {
    let world = World::new(OPERATOR, "v-outcome-lost").await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let lost = proxy.rule(outcome_of("lost").once(), Then::swallow());
    world.migrate("lost", &number, &code(1)).await;
    lost.hit().await.unwrap();
    let read_again = harness::When::get("codeledgers");
    let read_again = proxy.rule(read_again, Then::before(|_| {}));
    read_again.hit().await.unwrap();
    by_one_call(&world, "lost", &number).await;
    assert_eq!(lost.hits(), 1);
    // The operator's own write stored it, so the operator publishes its Event.
    until_events(&world, "lost", &["Verified"]).await;
    world.finish().await.unwrap();
}
