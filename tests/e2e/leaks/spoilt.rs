//! Damaged replies of the API server: the operator and its libraries log no part of them, even at
//! `RUST_LOG=trace`.

use harness::{Rule, Then, When, World, claim_of};

use super::{NEVER_FINAL, OPERATOR, reason};

fn phone(n: usize) -> String {
    format!("8613831{n:06}")
}

fn code(n: usize) -> String {
    format!("4731{n:04}")
}

/// Replaces one text by another in a body that holds it.
fn replaced(body: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(from), "no {from} in it");
    text.replace(from, to).into_bytes()
}

fn half(body: Vec<u8>) -> Vec<u8> {
    body[..body.len() / 2].to_vec()
}

/// A list where an object is expected, with the whole object in it.
fn in_a_list(body: Vec<u8>) -> Vec<u8> {
    [b"[".to_vec(), body, b"]".to_vec()].concat()
}

type Spoil = fn(Vec<u8>) -> Vec<u8>;

/// Changes that turn a body into something other than an object of its kind.
const SPOILT: [(&str, Spoil); 7] = [
    ("bad-base64", |b| {
        replaced(b, r#""data":{"#, r#""data":{"other":"%%%","#)
    }),
    ("bad-code", |b| replaced(b, r#""code":""#, r#""code":"*"#)),
    ("no-object", in_a_list),
    ("wrong-type", |b| {
        replaced(b, r#""metadata":{"#, r#""metadata":7,"was":{"#)
    }),
    ("a-page", |b| [b"<html>".to_vec(), b].concat()),
    ("a-text", |b| {
        serde_json::to_vec(&String::from_utf8(b).unwrap()).unwrap()
    }),
    ("half", half),
];

#[tokio::test]
async fn t02_c36_a_secret_spoilt_on_its_way_is_in_no_log() {
    let world = World::new(OPERATOR, "spoilt-secrets").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    let mut rules: Vec<Rule> = Vec::new();
    for (n, (name, spoil)) in SPOILT.iter().enumerate() {
        let secret = When::get("secrets").name(format!("{name}-code"));
        rules.push(proxy.rule(secret.once(), Then::corrupt(spoil)));
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    for (n, (name, _)) in SPOILT.iter().enumerate() {
        let status = reason(&world, name, "Verified").await;
        assert_eq!(status["id"], format!("id-{}", phone(n)), "{status}");
    }
    let log = operator.log();
    assert!(log.contains("its answer is not a Secret"), "{log}");
    world.finish().await.unwrap();
}

/// A library that logs the body of a resource reveals its number.
#[tokio::test]
async fn t02_a_resource_spoilt_on_its_way_is_in_no_log() {
    let world = World::new(OPERATOR, "spoilt-resources").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    let mut rules: Vec<Rule> = Vec::new();
    // A live read, and the replies to the claim and to the status write.
    let shown = When::update("phonemigrations/status").name("shown");
    for (name, when) in [
        ("looked", When::get("phonemigrations").name("looked").once()),
        ("claimed", claim_of("claimed").once()),
        ("shown", shown.once()),
    ] {
        rules.push(proxy.rule(when, Then::corrupt(in_a_list)));
        let n = 20 + rules.len();
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    for (n, name) in [(21, "looked"), (22, "claimed"), (23, "shown")] {
        let status = reason(&world, name, "Verified").await;
        assert_eq!(status["id"], format!("id-{}", phone(n)), "{status}");
    }
    let log = operator.log();
    assert!(log.contains("its answer cannot be parsed"), "{log}");
    world.finish().await.unwrap();
}
