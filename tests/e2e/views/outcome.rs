//! The outcome is known, and the API server does not accept it.

use std::time::Duration;

use harness::cams_simulator::{Delivery, Fault, FaultRule, Release, Stage, VERIFIED};
use harness::expect::until_events;
use harness::{Then, World, outcome_of};

use super::{
    NEVER_FINAL, OPERATOR, PATIENCE, assert_verified_by_one_call, code, phone, reason, until,
};

/// The call of a number is held after its execution.
fn hold_executed(world: &World, phone: &str) {
    let rule = FaultRule::new(Fault::gate(Stage::Executed));
    let rule = rule.action(VERIFIED).phone(phone).once();
    world.fault(rule);
}

/// The API server is unavailable from the reply until `outage` after it.
async fn away_at_the_reply(name: &str, outage: Duration) {
    let world = World::new(OPERATOR, name).await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    hold_executed(&world, &number);
    let operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("c05", &number, &code(1)).await;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    proxy.down().await.unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    let replied = || world.calls(&number)[0].delivery == Delivery::Complete;
    until("the reply is out", replied).await;
    let tried = || operator.log().contains("Outcome not recorded yet");
    until("the operator tried to record it", tried).await;
    tokio::time::sleep(outage).await;
    proxy.up().await.unwrap();
    let status = reason(&world, "c05", "Verified").await;
    // From memory, not found by a read.
    assert_verified_by_one_call(&world, &status, &number);
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
    let status = reason(&world, "c07", "Verified").await;
    assert_verified_by_one_call(&world, &status, &number);
    let recorded = |request: &&harness::fault_proxy::Request| {
        request.body["entries"][0]["outcome"].is_string()
    };
    let answers: Vec<_> = proxy
        .requests()
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
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let lost = proxy.rule(outcome_of("lost").once(), Then::swallow());
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("lost", &number, &code(1)).await;
    lost.hit().await.unwrap();
    let read_again = harness::When::get("codeledgers");
    let read_again = proxy.rule(read_again, Then::before(|_| {}));
    read_again.hit().await.unwrap();
    let status = reason(&world, "lost", "Verified").await;
    assert_verified_by_one_call(&world, &status, &number);
    assert_eq!(lost.hits(), 1);
    // The operator's own write stored it, so the operator publishes its Event.
    until_events(&world, "lost", &["Verified"]).await;
    world.finish().await.unwrap();
}
