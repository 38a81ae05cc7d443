//! `code NAME` from a pipe: the outcome of this hand-in, and no trace of the code.

use super::*;

#[tokio::test]
async fn a_refused_code_and_the_right_one_after_it_are_told_apart() {
    let (world, desk) = desk("desk-code", "store-1", "8613800005001").await;
    let _operator = world.start(&[]).await;

    let refused = desk.run("code store-1", "999-999\n").await;
    refused.hides(["999999", "999-999"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.out.contains("CodeRejected"), "{refused:?}");
    assert_says(&refused.out, &["kubectl phmig code store-1"]);

    // The state is already Finished from before, and is not mistaken for the outcome.
    let verified = desk.run("code store-1 -o json", " 407 182 ").await;
    verified.hides(["407182", "407 182"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert_eq!(outcome(&verified)["reason"], "Verified");
    assert_eq!(outcome(&verified)["id"], "id-8613800005001");

    let secret = secret(&world, "store-1").await.unwrap();
    assert_eq!(value(&secret, "code").as_deref(), Some("407182"));
    let expires_at = value(&secret, "expiresAt").unwrap();
    expires_at.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(secret.type_.as_deref(), Some("phonemigration.dev/code"));
    assert_eq!(secret.data.unwrap().len(), 2);
    assert_eq!(secret.metadata.annotations, None);

    let again = desk.run("code store-1", "111111\n").await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.err.contains("verified already"), "{again:?}");
    let figures = world.finish().await.unwrap();
    assert_eq!(executed(&figures), 2);
}

#[tokio::test]
async fn a_spent_code_that_is_handed_in_again_is_not_sent_and_is_told() {
    let (world, desk) = desk("desk-spent", "store-2", "8613800005002").await;
    let _operator = world.start(&[]).await;
    assert_eq!(desk.run("code store-2", "888888").await.code, 2);
    let same = desk.run("code store-2 -o json", "888888").await;
    same.hides(["888888"]);
    assert_eq!(same.code, 2, "{same:?}");
    assert_eq!(outcome(&same)["reason"], "CodeRejected");
    assert_eq!(executed(&world.finish().await.unwrap()), 1);
}

#[tokio::test]
async fn without_an_operator_the_code_is_kept_and_that_is_said() {
    let (world, desk) = desk("desk-down", "store-3", "8613800005003").await;
    let late = desk.run("code store-3 --timeout 1s", "407182").await;
    late.hides(["407182"]);
    assert_eq!(late.code, 6, "{late:?}");
    assert!(late.out.contains("is it running?"), "{late:?}");
    let _operator = world.start(&[]).await;
    reason(&world, "store-3", "Verified").await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn what_is_no_code_is_refused_before_anything_is_written() {
    let (world, desk) = desk("desk-wrong", "store-4", "8613800005004").await;
    for (args, input) in [
        ("code store-4", "40a182"),
        ("code store-4", "40718"),
        ("code store-4", ""),
        ("code store-4", "407182\n407182\n"),
        ("code store-4 407182", ""),
        ("code store-4 --code=407182", ""),
        ("code nobody", "407182"),
    ] {
        let said = desk.run(args, input).await;
        said.hides(["407182", "40a182"]);
        assert_eq!(said.code, 1, "{args}: {said:?}");
        assert!(!said.err.is_empty(), "{args}");
    }
    assert!(secret(&world, "store-4").await.is_none());
    assert!(!is_requested(&world, "store-4").await);
    world.finish().await.unwrap();
}
