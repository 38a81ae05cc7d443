//! What may stand in a Secret: a code is cleaned of one newline, everything else is refused
//! without being sent or shown.

use harness::cams_simulator::Number;
use harness::{Migration, World};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};

use crate::expect::*;

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
        ("empty", b""),
        ("spaces", b"    "),
        ("newline", b"\n"),
        ("two-newlines", b"91827364\n\n"),
        ("space-before", b" 91827364"),
        ("space-after", b"91827364 "),
        ("carriage-return", b"91827364\r"),
        ("tab", b"91827364\t"),
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
    ];
    for (n, (name, value)) in bad.iter().enumerate() {
        secret(&world, name, value).await;
        let phone = format!("86138000007{n:02}");
        world.create(&Migration::new(*name, phone)).await.unwrap();
    }
    let _operator = world.operator(&[]).await.unwrap();
    let state = stalled(
        "InvalidCode",
        false,
        "is not a code of 4 to 8 digits; nothing was sent",
    );
    let mut texts = String::new();
    for (name, _) in &bad {
        let status = until(&world, name, state).await;
        texts += &status.to_string();
    }
    texts += &format!("{:?}", world.events().await.unwrap());
    texts += &world.logs().concat();
    for shown in ["91827364", "9182736", "７３６４", "٧٣٦٤", "7777777777"] {
        assert!(!texts.contains(shown), "{shown} is shown");
    }
    assert!(world.sim.ledger().is_empty(), "nothing was sent");
    finish(&world).await;
}

#[tokio::test]
async fn c26_codes_of_four_to_eight_digits_are_sent_without_their_newline() {
    let world = World::new(OPERATOR, "good-codes").await.unwrap();
    let good: [(&str, &[u8], &str); 6] = [
        ("four", b"0123", "0123"),
        ("five", b"00000", "00000"),
        ("six", b"918273\n", "918273"),
        ("seven", b"9182736", "9182736"),
        ("eight", b"91827364\r\n", "91827364"),
        ("zeros", b"00000000\n", "00000000"),
    ];
    for (n, (name, value, sent)) in good.iter().enumerate() {
        secret(&world, name, value).await;
        let phone = format!("86138000008{n:02}");
        world
            .sim
            .add_number(Number::new(phone.clone(), *sent, "id"));
        world.create(&Migration::new(*name, phone)).await.unwrap();
    }
    let _operator = world.operator(&[]).await.unwrap();
    for (name, ..) in &good {
        until(&world, name, verified("CAMS accepted the code")).await;
    }
    finish(&world).await;
}
