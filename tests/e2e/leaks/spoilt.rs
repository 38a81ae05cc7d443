//! Damaged replies of the API server: the operator and its libraries log no part of them, even at
//! `RUST_LOG=trace`.

use super::*;

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

/// Each resource meets its spoilt reply once. All are verified, and the log says `says`.
async fn met(case: &str, spoilt: Vec<(&str, When, Then)>, says: &str) {
    let world = World::new(OPERATOR, case).await.unwrap();
    let (proxy, operator) = world.proxied(NEVER_FINAL).await;
    let mut rules: Vec<Rule> = Vec::new();
    for (n, (name, when, then)) in spoilt.iter().enumerate() {
        rules.push(proxy.rule(when.clone().once(), then.clone()));
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    for (n, (name, ..)) in spoilt.iter().enumerate() {
        verified(&world, name, &phone(n)).await;
    }
    assert_says(&operator.log(), &[says]);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn t02_c36_a_secret_spoilt_on_its_way_is_in_no_log() {
    let spoilt = SPOILT.map(|(name, spoil)| {
        let secret = When::get("secrets").name(format!("{name}-code"));
        (name, secret, Then::corrupt(spoil))
    });
    let says = "its answer is not a Secret";
    met("spoilt-secrets", spoilt.into(), says).await;
}

/// A library that logs the body of a resource reveals its number. A live read, and the replies to
/// the claim and to the status write.
#[tokio::test]
async fn t02_a_resource_spoilt_on_its_way_is_in_no_log() {
    let requests = [
        ("looked", When::get("phonemigrations").name("looked")),
        ("claimed", claim_of("claimed")),
        (
            "shown",
            When::update("phonemigrations/status").name("shown"),
        ),
    ];
    let spoilt = requests.map(|(name, when)| (name, when, Then::corrupt(in_a_list)));
    let says = "its answer cannot be parsed";
    met("spoilt-resources", spoilt.into(), says).await;
}
