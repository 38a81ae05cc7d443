//! The contents of a Secret: the operator cleans a code of white space and dashes; it refuses
//! everything else without sending or showing it.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};

use super::expect::*;

async fn secret(world: &World, name: &str, value: &[u8]) {
    let mut secret = Secret::default();
    secret.metadata.name = Some(format!("{name}-code"));
    secret.data = Some([("code".to_owned(), ByteString(value.to_vec()))].into());
    let api: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    api.create(&PostParams::default(), &secret).await.unwrap();
}

#[tokio::test]
async fn c26_values_that_are_no_code_are_refused_unsent_and_unshown() {
    let world = World::new(OPERATOR, "no-codes").await.unwrap();
    let huge = vec![b'7'; 900 * 1024];
    let bad: Vec<(&str, &[u8])> = vec![
        ("dashes", b"----"),
        ("dotted", b"9182.7364"),
        ("bom", b"\xef\xbb\xbf91827364"),
        ("three-digits", b"918"),
        ("nine-digits", b"918273645"),
        ("letters", b"9182736a"),
        ("sign", b"+9182736"),
        ("hex", b"0x918273"),
        ("quoted", b"\"91827364\""),
        ("full-width", "９１８２７３６４".as_bytes()),
        ("arabic", "٩١٨٢٧٣٦٤".as_bytes()),
        ("huge", &huge),
        ("not-utf8", b"\xff\xfe9182736"),
        ("nul", b"9182736\0"),
        ("utf16", b"9\x001\x008\x002\x00"),
        // Of other programs: a user who may not read them refers to them all.
        ("password", b"S3cr3t-Database-Passw0rd!"),
        ("number", b"123456789012"),
        ("pem", b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ==\n"),
        ("json", b"{\"code\":\"46990003\"}"),
        ("digits-and-more", b"46990004;drop"),
    ];
    for (n, (name, value)) in bad.iter().enumerate() {
        secret(&world, name, value).await;
        let phone = format!("86138000007{n:02}");
        world.make(&Migration::new(*name, phone)).await;
    }
    let _operator = world.start(&[]).await;
    let state = stalled("InvalidCode", "is not a code of 4 to 8 digits");
    let mut texts = String::new();
    let mut messages = BTreeSet::new();
    for (name, _) in &bad {
        let status = shows(&world, name, state).await;
        messages.insert(message(&status).to_owned());
        texts += &status.to_string();
    }
    // One text for all: it reveals not even length or kind.
    assert_eq!(messages.len(), 1, "{messages:?}");
    texts += &format!("{:?}", world.events().await.unwrap());
    texts += &world.logs().concat();
    for shown in [
        "91827364",
        "9182736",
        "７３６４",
        "٧٣٦٤",
        "7777777777",
        "S3cr3t",
        "123456789012",
        "PRIVATE KEY",
        "46990003",
        "46990004",
    ] {
        assert!(!texts.contains(shown), "{shown} is shown");
    }
    assert!(world.sim.ledger().is_empty(), "nothing was sent");
    // A code in place of it goes on.
    world.number("8613800000700", "91827365", "id");
    new_code(&world, bad[0].0, "91827365").await;
    shows(&world, bad[0].0, accepted()).await;
    finish(&world).await;
}

/// Exactly six digits by default, in the forms in which people copy them.
#[tokio::test]
async fn c26_a_code_of_six_digits_is_sent_without_white_space_and_dashes() {
    let world = World::new(OPERATOR, "good-codes").await.unwrap();
    let good: [(&str, &[u8], &str); 6] = [
        ("plain", b"012345", "012345"),
        ("newline", b"918273\n", "918273"),
        ("dash", b"918-274", "918274"),
        ("space", b"918 275", "918275"),
        ("around", b" \t918276 \r\n\n", "918276"),
        ("en-dash", "918–277".as_bytes(), "918277"),
    ];
    for (n, (name, value, sent)) in good.iter().enumerate() {
        secret(&world, name, value).await;
        let phone = format!("86138000008{n:02}");
        world.number(&phone, sent, "id");
        world.make(&Migration::new(*name, phone)).await;
    }
    // A leading zero that a spreadsheet dropped, a PIN, digits of two codes.
    let bad: [(&str, &[u8]); 3] = [
        ("five", b"12345"),
        ("four", b"5349"),
        ("twelve", b"918273 918274"),
    ];
    for (n, (name, value)) in bad.iter().enumerate() {
        secret(&world, name, value).await;
        let phone = format!("86138000009{n:02}");
        world.make(&Migration::new(*name, phone)).await;
    }
    secret(&world, "blank", b" \n").await;
    let blank = Migration::new("blank", "8613800000999");
    world.make(&blank).await;
    let _operator = world.start(&["--code-digits", "6"]).await;
    for (name, ..) in &good {
        shows(&world, name, accepted()).await;
    }
    for (name, _) in &bad {
        let state = stalled("InvalidCode", "is not a code of 6 digits");
        shows(&world, name, state).await;
    }
    shows(&world, "blank", progress("KeyNotFound", "is empty")).await;
    let ledger = world.sim.ledger();
    let sent = ledger.iter().filter(|e| e.code.is_some());
    assert_eq!(sent.count(), good.len());
    finish(&world).await;
}
