//! The claim meets another write, or its reply is lost.

use super::*;

/// The attempt ids of the claims of `name` that the proxy saw, with the API server's answers.
pub fn claims(proxy: &FaultProxy, name: &str) -> Vec<(String, Option<u16>)> {
    let is_claim = |request: &harness::fault_proxy::Request| {
        let newest = &request.body["entries"][0];
        newest["outcome"].is_null() && newest["migration"]["name"] == name
    };
    let told = |request: harness::fault_proxy::Request| {
        let id = request.body["entries"][0]["attemptId"].as_str();
        (id.unwrap().to_owned(), request.upstream)
    };
    let claims = proxy.requests().into_iter().filter(is_claim);
    claims.map(told).collect()
}

/// Another process creates the number's ledger while the claim is on its way: the claim's condition
/// no longer holds.
#[tokio::test]
async fn c03_a_claim_that_meets_a_conflict_is_made_anew() {
    let world = World::new(OPERATOR, "v03").await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let hold = proxy.rule(claim_of("c03").once(), Then::Hold);
    world.migrate("c03", &number, &code(1)).await;
    let first = hold.hit().await.unwrap();
    // Another process was quicker; its write has no entry.
    let name = first.body["metadata"]["name"].as_str().unwrap();
    let spec = first.body["spec"].clone();
    world.make_ledger(name, spec).await.unwrap();
    hold.release();
    let status = by_one_call(&world, "c03", &number).await;
    let claims = claims(&proxy, "c03");
    assert_eq!(claims.len(), 2, "{claims:?}");
    let first_id = first.body["entries"][0]["attemptId"].as_str().unwrap();
    assert_eq!(claims[0], (first_id.to_owned(), Some(409)));
    // Evaluated again and signed again: the first signature never leaves.
    assert_ne!(claims[1].0, first_id);
    assert_eq!(claims[1].1, Some(200));
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// The claim is stored and its reply lost: the operator recognises it by its id, and makes no
/// second one.
#[tokio::test]
async fn c04_a_claim_whose_reply_is_lost_is_recognised_as_its_own() {
    let world = World::new(OPERATOR, "v04").await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let lost = proxy.rule(claim_of("c04").once(), Then::swallow_and_answer(504));
    world.migrate("c04", &number, &code(1)).await;
    lost.hit().await.unwrap();
    let status = by_one_call(&world, "c04", &number).await;
    let claims = claims(&proxy, "c04");
    let id = status["attempt"]["id"].as_str().unwrap();
    // The same request again, answered by a conflict with itself.
    let again = (id.to_owned(), Some(409));
    assert_eq!(claims, [(id.to_owned(), Some(201)), again]);
    assert_told_in_order(&world.event_log(), id);
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// The claim never reaches the API server: the operator repeats the same request, with the same
/// signature.
#[tokio::test]
async fn a_claim_that_never_came_is_made_again_as_it_is() {
    let world = World::new(OPERATOR, "v-never-came").await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let lost = proxy.rule(claim_of("again").once(), Then::Close);
    world.migrate("again", &number, &code(1)).await;
    lost.hit().await.unwrap();
    let status = by_one_call(&world, "again", &number).await;
    let id = status["attempt"]["id"].as_str().unwrap().to_owned();
    let claims = claims(&proxy, "again");
    assert_eq!(claims, [(id.clone(), None), (id, Some(201))]);
    world.finish().await.unwrap();
}

/// The claim is on its way for so long that its process claims again, over a write that another
/// client made meanwhile: when the first claim arrives, its condition no longer holds.
#[tokio::test]
async fn a_claim_that_comes_late_over_another_write_is_refused() {
    let world = World::new(OPERATOR, "v-late").await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let late = proxy.rule(claim_of("late").once(), Then::Hold);
    world.migrate("late", &number, &code(1)).await;
    let first = late.hit().await.unwrap();
    let name = first.body["metadata"]["name"].as_str().unwrap();
    let spec = first.body["spec"].clone();
    world.make_ledger(name, spec).await.unwrap();
    // The process loses its connection, and with it the answer.
    proxy.cut();
    let status = by_one_call(&world, "late", &number).await;
    let first = first.body["entries"][0]["attemptId"].as_str().unwrap();
    assert_ne!(status["attempt"]["id"], first, "{status}");
    late.release();
    let answered = || claims(&proxy, "late")[0] == (first.to_owned(), Some(409));
    until("it comes", answered).await;
    let ledgers = world.ledgers().await.unwrap();
    let entries = ledgers[0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{ledgers:?}");
    assert_eq!(entries[0]["attemptId"], status["attempt"]["id"]);
    world.finish().await.unwrap();
}

/// The claim arrives when its process is dead: it was never sent, and no other process can know
/// that.
#[tokio::test]
async fn a_claim_that_comes_after_its_process_died_is_open_until_its_end() {
    let world = World::new(OPERATOR, "v-orphan").await.unwrap();
    let (proxy, mut operator) = world.proxied(SOON_FINAL).await;
    let number = phone(1);
    let late = proxy.rule(claim_of("orphan").once(), Then::Hold);
    world.migrate("orphan", &number, &code(1)).await;
    let claim = late.hit().await.unwrap();
    operator.kill().await.unwrap();
    late.release();
    let id = claim.body["entries"][0]["attemptId"].as_str().unwrap();
    let answered = || claims(&proxy, "orphan") == [(id.to_owned(), Some(201))];
    until("it comes", answered).await;
    let _operator = world.start(SOON_FINAL).await;
    let status = finished(&world, "orphan").await;
    assert_eq!(status["attempt"]["id"], id, "{status}");
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
    assert!(world.calls(&number).is_empty());
    // It counts as spent: a different code goes on.
    assert!(world.sim.set_code(&number, &code(2)));
    world.replace_code("orphan", &code(2)).await;
    by_one_call(&world, "orphan", &number).await;
    world.finish().await.unwrap();
}

/// It cannot see its own claim, and gives it up. Before it sees the claim, another operator finds
/// it and cannot know its outcome. The process that signed it knows that it never left.
#[tokio::test]
async fn a_claim_that_never_left_is_released_although_another_operator_observes_it() {
    let world = World::new(OPERATOR, "v-unseen").await.unwrap();
    let (proxy, first) = world.proxied(NEVER_FINAL).await;
    let number = phone(1);
    let unanswered = proxy.rule(claim_of("unseen").once(), Then::HoldReply);
    world.migrate("unseen", &number, &code(1)).await;
    let claim = unanswered.hit().await.unwrap();
    let id = claim.body["entries"][0]["attemptId"].as_str().unwrap();
    let blind = proxy.rule(When::get("codeledgers"), Then::Close);
    blind.hit().await.unwrap();
    let _second = world.start(NEVER_FINAL).await;
    let status = reason(&world, "unseen", "OutcomeUnknown").await;
    assert_eq!(status["attempt"]["id"], id, "{status}");
    first.until_logged("Attempt not begun").await;
    drop(blind);
    let status = by_one_call(&world, "unseen", &number).await;
    assert_ne!(status["attempt"]["id"], id, "{status}");
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// The log has one clock: the claim, its fault, and the call after them are in order.
fn assert_told_in_order(log: &str, id: &str) {
    let told: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(told.is_sorted_by_key(|line| line["ms"].as_f64()), "{log}");
    let at = |what: &str, part: &str| {
        let is = |line: &Value| line["what"] == what && line["is"][part] == id;
        told.iter().position(is).expect(what)
    };
    let claimed = at("request", "attempt");
    assert!(claimed < at("fault", "attempt"), "{log}");
    assert!(at("fault", "attempt") < at("arrived", "nonce"), "{log}");
}
