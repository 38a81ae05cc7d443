//! Replies whose bodies are cut off or invalid.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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

/// The change of a Secret's body.
type Spoil = fn(Vec<u8>) -> Vec<u8>;

fn bad_base64_in_another_key(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    let other = "\"data\":{\"another\":\"%%%\",";
    text.replacen("\"data\":{", other, 1).into_bytes()
}

fn bad_base64_in_the_code(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    text.replacen("\"code\":\"", "\"code\":\"*", 1).into_bytes()
}

fn truncated(mut body: Vec<u8>) -> Vec<u8> {
    body.pop();
    body
}

fn not_json(body: Vec<u8>) -> Vec<u8> {
    [b"Secret ", &*body].concat()
}

/// RUST_LOG is `trace` in all these tests.
#[tokio::test]
async fn c36_a_corrupt_secret_is_not_shown_not_lost_and_heals() {
    const TIMES: usize = 2;
    let kinds: [(&str, Spoil); 4] = [
        ("other-key", bad_base64_in_another_key),
        ("bad-code", bad_base64_in_the_code),
        ("truncated", truncated),
        ("not-json", not_json),
    ];
    let world = World::new(OPERATOR, "v36").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let spoilt: [Arc<AtomicUsize>; 4] = Default::default();
    let mut rules = Vec::new();
    for ((name, spoil), count) in kinds.into_iter().zip(&spoilt) {
        let count = Arc::clone(count);
        let spoil = Then::corrupt(move |body| {
            count.fetch_add(1, Ordering::Relaxed);
            spoil(body)
        });
        rules.push(proxy.rule(secret_of(name).times(TIMES as u64), spoil));
    }
    let operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    for (n, (name, _)) in kinds.into_iter().enumerate() {
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for (n, (name, _)) in kinds.into_iter().enumerate() {
        let status = reason(&world, name, "Verified").await;
        assert_verified_by_one_call(&world, &status, &phone(n));
        assert!(spoilt[n].load(Ordering::Relaxed) >= 1, "{name}");
    }
    let log = operator.log();
    assert!(log.contains("its answer is not a Secret"), "nothing failed");
    for n in 0..kinds.len() {
        let code = code(n);
        let bytes: Vec<String> = code.bytes().map(|byte| byte.to_string()).collect();
        let shapes = [STANDARD.encode(&code), bytes.join(", "), code];
        assert!(
            !shapes.iter().any(|shape| log.contains(shape)),
            "in the log"
        );
    }
    world.finish().await.unwrap();
}
