//! Answers in the API's shape whose plain reading would be wrong.

use harness::cams_simulator::Answer;

use super::*;

#[tokio::test]
async fn a_masked_number_in_the_reply_is_fine() {
    let world = World::new(OPERATOR, "masked").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::MaskPhone);
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("masked", &number, &code(1)).await;
    let status = finished(&world, "masked").await;
    assert_verified(&status, &number);
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let shown = status["phoneNumber"].as_str().unwrap();
    assert!(shown.ends_with("****"), "{shown}");
    world.finish().await.unwrap();
}

/// The connection ties the reply to its request, and the Id in the reply is the number's.
#[tokio::test]
async fn a_number_in_another_spelling_is_accepted_with_its_id_and_told() {
    let world = World::new(OPERATOR, "spelling").await.unwrap();
    let number = phone(1);
    let phone = format!("{}1{}", &number[..2], &number[2..]);
    world.next_call_of(&number, Fault::OtherPhone { phone });
    let mut operator = world.start(NEVER_FINAL).await;
    world.migrate("spelt", &number, &code(1)).await;
    let status = finished(&world, "spelt").await;
    assert_verified(&status, &number);
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let message = harness::message(&status);
    assert!(message.contains("shows the number otherwise"), "{message}");
    let shown = status["phoneNumber"].as_str().unwrap();
    assert!(shown.starts_with("861"), "{shown}");
    assert!(shown.ends_with("****"), "{shown}");
    until_events(&world, "spelt", &["OtherNumber", "Verified"]).await;
    let line = "phonemigration_other_number_replies_total 1";
    operator.until_metric(line).await;
    // No further read is made for it.
    let calls = world.sim.ledger().len();
    assert_eq!(calls, 2, "one read and one submission");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn what_a_message_carries_does_no_harm() {
    let world = World::new(OPERATOR, "message").await.unwrap();
    let number = phone(1);
    let text = format!(
        "no {}\u{1b}[2J\r\nlevel=error \u{202e}\u{0} {} {}",
        code(2),
        code(2).replace('7', "%37"),
        "x".repeat(20_000),
    );
    let refusal = Refusal::new(200, "VerifyCode.Mismatch", text);
    let fault = Fault::answer(Stage::Executed, Answer::Api { refusal });
    world.next_call_of(&number, fault);
    let _operator = world.start(SOON_FINAL).await;
    // The code is wrong, so the refusal is the truth.
    world.number(&number, &code(1), "id");
    world.code("message", &code(2)).await.unwrap();
    world.make(&Migration::new("message", &number)).await;
    let status = reason(&world, "message", "CodeRejected").await;
    let shown = status["errorMessage"].as_str().unwrap();
    assert!(shown.chars().count() <= 256, "{}", shown.len());
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn the_largest_answer_is_recorded() {
    let world = World::new(OPERATOR, "largest").await.unwrap();
    let (a, b) = (phone(1), phone(2));
    let refusal = Refusal::new(200, "C".repeat(128), "m".repeat(60_000));
    let refused = Fault::answer(Stage::Executed, Answer::Api { refusal });
    world.next_call_of(&a, refused);
    let _operator = world.start(NEVER_FINAL).await;
    world.number(&a, &code(3), "id");
    world.code("refused", &code(1)).await.unwrap();
    world.make(&Migration::new("refused", &a)).await;
    let status = reason(&world, "refused", "CodeRejected").await;
    assert_eq!(status["errorCode"], "C".repeat(128), "{status}");
    // An Id too long for status: the outcome is recorded without it.
    world.number(&b, &code(2), &"9".repeat(300));
    world.code("accepted", &code(2)).await.unwrap();
    world.make(&Migration::new("accepted", &b)).await;
    let status = reason(&world, "accepted", "Verified").await;
    assert!(status["id"].is_null(), "{status}");
    assert_eq!(world.calls(&b).len(), 1);
    world.finish().await.unwrap();
}

/// The refusal is the truth; only the read before its record is lost.
#[tokio::test]
async fn a_refusal_whose_read_cannot_be_had_is_recorded_all_the_same() {
    let world = World::new(OPERATOR, "unread").await.unwrap();
    let number = phone(1);
    let dead = FaultRule::new(Fault::blackhole(Stage::Received)).action(READ_STATUS);
    world.fault(dead);
    let _operator = world.start(NEVER_FINAL).await;
    world.offer("unread", &number, &code(2), &code(1)).await;
    let status = reason(&world, "unread", "CodeRejected").await;
    assert_eq!(status["attempt"]["outcome"], "Refused", "{status}");
    assert_eq!(world.calls(&number).len(), 1);
    assert_eq!(world.reads(&number).len(), 2);
    world.sim.clear_faults();
    world.code("unread", &code(1)).await.unwrap();
    verified(&world, "unread", &number).await;
    world.finish().await.unwrap();
}
