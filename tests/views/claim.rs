//! The claim meets another write, or its reply is lost.

use harness::{FaultProxy, FrameThen, Then, When, World, claim_of};
use serde_json::json;

use crate::{NEVER_FINAL, OPERATOR, assert_verified_by_one_call, code, phone, reason};

/// The attempt ids of the claims of `name` that the proxy saw, with the API server's answers.
pub fn claims(proxy: &FaultProxy, name: &str) -> Vec<(String, Option<u16>)> {
    let is_claim = |request: &harness::fault_proxy::Request| {
        let attempt = &request.body["status"]["attempt"];
        let open = attempt["id"].is_string() && attempt["outcome"].is_null();
        open && request.target.name == name
    };
    let told = |request: harness::fault_proxy::Request| {
        let id = request.body["status"]["attempt"]["id"].as_str();
        (id.unwrap().to_owned(), request.upstream)
    };
    proxy
        .requests()
        .into_iter()
        .filter(is_claim)
        .map(told)
        .collect()
}

/// The claim is on its way while the resource changes: its condition no longer holds.
#[tokio::test]
async fn c03_a_claim_that_meets_a_conflict_is_made_anew() {
    let world = World::new(OPERATOR, "v03").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let hold = proxy.rule(claim_of("c03").once(), Then::Hold);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world
        .ready_migration("c03", &number, &code(1))
        .await
        .unwrap();
    let first = hold.hit().await.unwrap();
    let label = json!({"metadata": {"labels": {"n": "moved"}}});
    world.patch("c03", label).await.unwrap();
    hold.release();
    let status = reason(&world, "c03", "Verified").await;
    assert_verified_by_one_call(&world, &status, &number);
    let claims = claims(&proxy, "c03");
    assert_eq!(claims.len(), 2, "{claims:?}");
    let first_id = first.body["status"]["attempt"]["id"].as_str().unwrap();
    assert_eq!(claims[0], (first_id.to_owned(), Some(409)));
    // Looked at again and signed again: the first signature never leaves.
    assert_ne!(claims[1].0, first_id);
    assert_eq!(claims[1].1, Some(200));
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// The claim is stored and its reply lost: it is recognised by its id, and no second one made.
#[tokio::test]
async fn c04_a_claim_whose_reply_is_lost_is_recognised_as_its_own() {
    let world = World::new(OPERATOR, "v04").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let lost = proxy.rule(claim_of("c04").once(), Then::swallow_and_answer(504));
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world
        .ready_migration("c04", &number, &code(1))
        .await
        .unwrap();
    lost.hit().await.unwrap();
    let status = reason(&world, "c04", "Verified").await;
    assert_verified_by_one_call(&world, &status, &number);
    let claims = claims(&proxy, "c04");
    let id = status["attempt"]["id"].as_str().unwrap();
    assert_eq!(claims, [(id.to_owned(), Some(200))]);
    assert_told_in_order(&world.event_log(), id);
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// It cannot see its own claim, and gives it up; before it does see it, another operator finds it
/// and cannot know its outcome. Who signed it knows that it never left.
#[tokio::test]
async fn a_claim_that_never_left_is_released_although_another_operator_observes_it() {
    let world = World::new(OPERATOR, "v-unseen").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let unanswered = proxy.rule(claim_of("unseen").once(), Then::HoldReply);
    let _first = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world
        .ready_migration("unseen", &number, &code(1))
        .await
        .unwrap();
    let claim = unanswered.hit().await.unwrap();
    let id = claim.body["status"]["attempt"]["id"].as_str().unwrap();
    let blind = proxy.rule(When::get("phonemigrations").name("unseen"), Then::Close);
    let frames = When::watch("phonemigrations").name("unseen");
    let frames = proxy.frame_rule(frames, FrameThen::Hold);
    blind.hit().await.unwrap();
    let _second = world.operator(NEVER_FINAL).await.unwrap();
    let status = reason(&world, "unseen", "OutcomeUnknown").await;
    assert_eq!(status["attempt"]["id"], id, "{status}");
    drop((blind, frames));
    let status = reason(&world, "unseen", "Verified").await;
    assert_verified_by_one_call(&world, &status, &number);
    assert_ne!(status["attempt"]["id"], id, "{status}");
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    world.finish().await.unwrap();
}

/// The log has one clock: the claim, the fault it met, and the call that came after them.
fn assert_told_in_order(log: &str, id: &str) {
    let told: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(told.is_sorted_by_key(|line| line["ms"].as_f64()), "{log}");
    let at = |what: &str, part: &str| {
        let is = |line: &serde_json::Value| line["what"] == what && line["is"][part] == id;
        told.iter().position(is).expect(what)
    };
    let claimed = at("request", "attempt");
    assert!(claimed < at("fault", "attempt"), "{log}");
    assert!(at("fault", "attempt") < at("arrived", "nonce"), "{log}");
}
