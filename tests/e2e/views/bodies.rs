//! Replies whose bodies are cut off or invalid.
use harness::{Rule, Then, When, World, claim_of, outcome_of};

use super::claim::claims;
use super::{NEVER_FINAL, OPERATOR, assert_verified_by_one_call, code, phone, reason, secret_of};

/// Each request whose reply is read, by the name of the resource that meets it.
fn kinds() -> [(&'static str, When); 4] {
    [
        ("get", When::get("phonemigrations").name("get")),
        ("secret", secret_of("secret")),
        ("claim", claim_of("claim")),
        ("outcome", outcome_of("outcome")),
    ]
}

async fn spoilt(case: &str, by: Then) {
    let world = World::new(OPERATOR, case).await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    let spoil = |(_, when): (_, When)| proxy.rule(when.once(), by.clone());
    let rules: Vec<Rule> = kinds().into_iter().map(spoil).collect();
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        let status = reason(&world, name, "Verified").await;
        assert_verified_by_one_call(&world, &status, &phone(n));
        assert_eq!(status["attempt"]["number"], 1, "{status}");
    }
    // Recognised by a read, not claimed again: the same request again, with the same id.
    let claims = claims(&proxy, "claim");
    assert!(
        claims.iter().all(|claim| claim.0 == claims[0].0),
        "{claims:?}"
    );
    world.finish().await.unwrap();
}

#[tokio::test]
async fn replies_that_are_cut_off_lose_nothing() {
    spoilt("cut", Then::CutBody { after_bytes: 40 }).await;
}

#[tokio::test]
async fn replies_that_cannot_be_parsed_lose_nothing() {
    spoilt(
        "garbled",
        Then::corrupt(|body| body[..body.len() / 2].to_vec()),
    )
    .await;
}

#[tokio::test]
async fn replies_of_another_kind_lose_nothing() {
    let page = |_| b"{\"kind\":\"Status\",\"status\":\"Success\"}".to_vec();
    spoilt("another-kind", Then::corrupt(page)).await;
}
