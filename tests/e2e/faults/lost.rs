//! Replies that never come, or that are not the API's: the number is observed, and the code is
//! never sent again.

use harness::cams_simulator::Answer;

use super::*;

/// Two numbers meet the same fault: one after its execution, one instead of it. The first must
/// be found by a read, the second must end final; neither is sent again.
async fn observed(world: &World, executed_then: Option<Fault>, instead: Option<Fault>) {
    let (a, b) = (phone(1), phone(2));
    let _operator = world.start(SOON_FINAL).await;
    if let Some(fault) = executed_then {
        world.next_call_of(&a, fault);
        world.migrate("ran", &a, &code(1)).await;
        let lost = reason(world, "ran", "OutcomeUnknown").await;
        assert_eq!(condition(&lost, "Reconciling"), "True", "{lost}");
        let status = verified(world, "ran", &a).await;
        assert_eq!(status["attempt"]["outcome"], "Adopted", "{status}");
        assert_eq!(world.counts(&a), (1, 1));
    }
    if let Some(fault) = instead {
        world.next_call_of(&b, fault);
        world.migrate("not", &b, &code(2)).await;
        let status = finished(world, "not").await;
        assert_final_unknown(&status);
        assert_eq!(world.counts(&b), (1, 0));
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c14_executed_and_half_a_reply_is_observed() {
    let world = World::new(OPERATOR, "c14-half").await.unwrap();
    observed(&world, Some(Fault::half_reply()), None).await;
}

#[tokio::test]
async fn c15_reset_after_it_was_received_ends_unknown() {
    let world = World::new(OPERATOR, "c15-received").await.unwrap();
    observed(&world, None, Some(Fault::reset(Stage::Received))).await;
}

#[tokio::test]
async fn c16_replies_that_are_not_the_apis_are_observed() {
    let answers = [
        Answer::Html { status: 200 },
        Answer::Html { status: 502 },
        Answer::Empty { status: 200 },
        Answer::TruncatedJson,
        Answer::EmptyObject,
        Answer::Huge { bytes: 1 << 20 },
    ];
    for_each_row(answers, async |answer| {
        let world = World::new(OPERATOR, "c16").await.unwrap();
        world.note(format!("{answer:?}"));
        let at = |stage| Some(Fault::answer(stage, answer.clone()));
        observed(&world, at(Stage::Executed), at(Stage::Counted)).await;
    })
    .await;
}

#[tokio::test]
async fn c17_nonce_used_without_execution_ends_unknown() {
    let world = World::new(OPERATOR, "c17").await.unwrap();
    observed(&world, None, Some(Fault::nonce_used(Stage::Counted))).await;
}

#[tokio::test]
async fn c18_nonce_used_after_execution_is_observed() {
    let world = World::new(OPERATOR, "c18").await.unwrap();
    observed(&world, Some(Fault::nonce_used(Stage::Executed)), None).await;
}

#[tokio::test]
async fn an_internal_error_is_observed() {
    let world = World::new(OPERATOR, "internal").await.unwrap();
    let at = |stage| Some(Fault::internal_error(stage));
    observed(&world, at(Stage::Executed), at(Stage::Counted)).await;
}

#[tokio::test]
async fn c35_a_redirect_is_not_followed() {
    let world = World::new(OPERATOR, "c35").await.unwrap();
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", elsewhere.local_addr().unwrap());
    let redirect = Fault::answer(Stage::Received, Answer::Redirect { url });
    // Reads as well: they carry a signature.
    let read = FaultRule::new(redirect.clone()).action(READ_STATUS).once();
    world.fault(read);
    observed(&world, None, Some(redirect)).await;
    // Not even a connection, let alone a byte.
    assert!(elsewhere.accept().is_err(), "it was followed");
    let redirected = |e: &&Entry| e.reply_status == Some(307);
    let ledger = world.sim.ledger();
    assert_eq!(ledger.iter().filter(redirected).count(), 2);
}
