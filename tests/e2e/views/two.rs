//! Two operators without election write the ledger of one number at once: its resourceVersion lets
//! only one write through.

use harness::fault_proxy::Request;

use super::*;

fn is_claim(ledger: &Value) -> bool {
    let newest = &ledger["entries"][0];
    newest["attemptId"].is_string() && newest["outcome"].is_null()
}

/// The attempt that this proxy's operator claimed first, and whether its claim was stored.
fn first_claim(proxy: &FaultProxy) -> (String, bool) {
    let mut claims = proxy.requests();
    claims.retain(|request| is_claim(&request.body));
    let id = |request: &Request| request.body["entries"][0]["attemptId"].clone();
    let first = id(&claims[0]);
    let stored = |request: &Request| id(request) == first && request.upstream == Some(201);
    let stored = claims.iter().any(stored);
    (first.as_str().unwrap().to_owned(), stored)
}

/// Two resources of number 1 with these codes, and two operators that claim at the same time. The
/// second operator's signature is never sent.
async fn claim_at_once(world: &World, codes: [&str; 2]) {
    let number = phone(1);
    let proxies = [world.proxy().await.unwrap(), world.proxy().await.unwrap()];
    let claim = || When::create("codeledgers").body("claim", is_claim);
    let claims = proxies
        .each_ref()
        .map(|proxy| proxy.rule(claim(), Then::Hold));
    let _first = world.operator_via(&proxies[0], NEVER_FINAL).await.unwrap();
    let _second = world.operator_via(&proxies[1], NEVER_FINAL).await.unwrap();
    for (name, code) in ["a", "b"].into_iter().zip(codes) {
        world.code(name, code).await.unwrap();
        let migration = Migration::new(name, &number);
        world.make(&migration).await;
    }
    for claim in &claims {
        claim.hit().await.unwrap();
    }
    assert!(world.calls(&number).is_empty());
    drop(claims);
    for name in ["a", "b"] {
        finished(world, name).await;
    }
    let claims = proxies.each_ref().map(first_claim);
    let stored = claims.iter().filter(|(_, stored)| *stored);
    assert_eq!(stored.count(), 1, "{claims:?}");
    for (id, stored) in &claims {
        let calls = world.calls(&number);
        let sent = calls.iter().filter(|call| call.nonce.as_ref() == Some(id));
        assert_eq!(sent.count(), usize::from(*stored), "{id}: {calls:?}");
    }
}

#[tokio::test]
async fn of_two_operators_that_claim_one_code_at_once_one_sends_it() {
    let world = World::new(OPERATOR, "two-one-code").await.unwrap();
    let number = phone(1);
    world.number(&number, &code(1), &format!("id-{number}"));
    claim_at_once(&world, [&code(1), &code(1)]).await;
    for name in ["a", "b"] {
        verified(&world, name, &number).await;
    }
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn of_two_operators_that_claim_two_codes_at_once_one_goes_first() {
    let world = World::new(OPERATOR, "two-two-codes").await.unwrap();
    let number = phone(1);
    // Both are wrong: each must be sent once, one after the other.
    world.number(&number, &code(9), &format!("id-{number}"));
    claim_at_once(&world, [&code(1), &code(2)]).await;
    for name in ["a", "b"] {
        reason(&world, name, "CodeRejected").await;
    }
    let calls = world.calls(&number);
    assert_eq!(calls.len(), 2, "{calls:?}");
    let one_after_the_other = calls[0].replied_us < Some(calls[1].arrived_us);
    assert!(one_after_the_other, "{calls:?}");
    world.finish().await.unwrap();
}

/// A release is late, its repetition is stored, and the reply to that is lost: meanwhile another
/// process claims. The API server refuses the late release, and a further repetition changes
/// nothing.
#[tokio::test]
async fn a_release_that_comes_late_or_again_undoes_no_later_claim() {
    let world = World::new(OPERATOR, "two-release").await.unwrap();
    let number = phone(1);
    let proxy = world.proxy().await.unwrap();
    world.next_call_of(&number, busy(1_000));
    let late = proxy.rule(outcome_of("m").once(), Then::Hold);
    let unanswered = proxy.rule(outcome_of("m").nth(2).once(), Then::HoldReply);
    let _first = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("m", &number, &code(1)).await;
    let release = late.hit().await.unwrap();
    let released = &release.body["entries"][0];
    assert_eq!(released["outcome"], "Throttled", "{released}");
    proxy.cut();
    unanswered.hit().await.unwrap();
    // It does not find out before the other one is done.
    let blind = proxy.rule(When::get("codeledgers"), Then::Close);
    let _second = world.start(NEVER_FINAL).await;
    let status = verified(&world, "m", &number).await;
    assert_ne!(status["attempt"]["id"], released["attemptId"], "{status}");
    let before = world.ledgers().await.unwrap();
    let reads = When::get("codeledgers");
    let read_again = proxy.rule(reads, Then::after(|_| {}));
    drop(blind);
    proxy.cut();
    read_again.hit().await.unwrap();
    late.release();
    let outcomes = || {
        let requests = proxy.requests().into_iter();
        let outcomes = requests.filter(|r| r.body["entries"][0]["outcome"].is_string());
        outcomes.map(|r| r.upstream).collect::<Vec<_>>()
    };
    until("it comes", || outcomes()[0].is_some()).await;
    assert_eq!(outcomes(), [Some(409), Some(200)]);
    assert_eq!(world.ledgers().await.unwrap(), before);
    assert_eq!(world.calls(&number).len(), 2);
    assert_eq!(world.executed(&number), 1);
    world.finish().await.unwrap();
}
