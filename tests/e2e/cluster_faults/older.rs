//! etcd is restored from an older copy: ledgers and statuses go back, but the executions of CAMS
//! are not undone. Watches may show nothing for a while, since revisions went back; the operator
//! reads live before it acts.

use super::*;

/// The outcomes of all entries of the only ledger, newest first.
async fn outcomes(world: &World) -> Vec<Value> {
    let ledgers = world.ledgers().await.unwrap();
    let entries = ledgers.first().and_then(|l| l["entries"].as_array());
    let entries = entries.into_iter().flatten();
    entries.map(|entry| entry["outcome"].clone()).collect()
}

/// The status once it has this reason. After a restore the process waits half a minute for the
/// newer object that it has seen; then it accepts the older one.
async fn reached(world: &World, wanted: &str) -> Value {
    let there = |status: &Value| harness::reason(status) == wanted;
    world.until(&name(1), 2 * PATIENCE, there).await.unwrap()
}

/// The number's code is `right`, the Secret holds another one.
async fn resource(world: &World, right: &str) {
    world.number(&phone(1), right, &format!("id-{}", phone(1)));
    let migration = Migration::new(name(1), phone(1));
    world.make(&migration).await;
}

#[tokio::test]
#[ignore = "what the operator missed is noticed within half a minute"]
async fn restored_from_between_claim_and_outcome_the_ledger_gets_it_from_the_living_process() {
    let apart = apart("restored-open").await;
    let world = &apart.world;
    let control = &world.plane.control;
    let proxy = world.proxy().await.unwrap();
    let unrecorded = proxy.rule(outcome_of(&name(1)), Then::Close);
    let unshown = proxy.rule(shown_of(&name(1)), Then::Close);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.code(&name(1), &code(1)).await.unwrap();
    resource(world, &code(2)).await;
    unrecorded.hit().await.unwrap();
    let copy = world.dir().join("between");
    control.save_etcd(&copy).unwrap();
    drop((unrecorded, unshown));
    let refused = reached(world, "CodeRejected").await;
    control.restore_etcd(&copy).await.unwrap();
    assert_eq!(outcomes(world).await, [Value::Null]);
    // An attempt with another code reads the ledger; first the process writes its own memory there.
    world.code(&name(1), &code(2)).await.unwrap();
    let status = reached(world, "Verified").await;
    assert_eq!(outcomes(world).await, ["Accepted", "Refused"]);
    let spent = &status["history"][0];
    assert_eq!(spent["attemptId"], refused["attempt"]["id"], "{status}");
    assert_eq!(spent["outcome"], "Refused", "{status}");
    assert_eq!(calls(world, 1).len(), 2);
    world.finish_after_restart().await.unwrap();
}

#[tokio::test]
#[ignore = "what the operator missed is noticed within half a minute"]
async fn restored_from_before_the_claim_no_code_of_a_living_process_and_no_accepted_one_goes_again()
{
    let apart = apart("restored-before").await;
    let world = &apart.world;
    let control = &world.plane.control;
    let mut operator = world.start(NEVER_FINAL).await;
    resource(world, &code(2)).await;
    reached(world, "SecretNotFound").await;
    let copy = world.dir().join("before");
    control.save_etcd(&copy).unwrap();
    world.code(&name(1), &code(1)).await.unwrap();
    world.request(&name(1), "the code is there").await.unwrap();
    let refused = reached(world, "CodeRejected").await;
    control.restore_etcd(&copy).await.unwrap();
    assert_eq!(world.ledgers().await.unwrap(), Vec::<Value>::new());
    // The memory of this process is claimed together with the next code.
    world.code(&name(1), &code(2)).await.unwrap();
    let status = reached(world, "Verified").await;
    assert_eq!(outcomes(world).await, ["Accepted", "Refused"]);
    let spent = &status["history"][0];
    assert_eq!(spent["attemptId"], refused["attempt"]["id"], "{status}");
    assert_eq!(calls(world, 1).len(), 2);
    // A new process knows neither code, and no ledger has them: it reads the number's status first.
    world.expect_other_clients();
    operator.kill().await.unwrap();
    control.restore_etcd(&copy).await.unwrap();
    world.code(&name(1), &code(2)).await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    let status = reached(world, "Verified").await;
    assert!(status["attempt"].is_null(), "{status}");
    assert_eq!(calls(world, 1).len(), 2);
    world.finish_after_restart().await.unwrap();
}
