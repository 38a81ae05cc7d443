//! The API server fails or refuses at the worst moment.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// The id of an attempt that the operator did not make.
const FOREIGN: &str = "00112233445566778899aabbccddeeff";

#[tokio::test]
async fn c06_an_outcome_is_recorded_during_the_shutdown_of_the_process() {
    let (_dir, world) = apart(OPERATOR, "c06").await;
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let mut operator = world.start(NEVER_FINAL).await;
    world.migrate("c06", &number, &code(1)).await;
    let held = world.held().await;
    world.plane.control.stop_apiserver();
    world.go_on(held);
    operator.until_logged("Outcome not recorded yet").await;
    operator.terminate().await.unwrap();
    super::terminate::until_not_ready(&mut operator).await;
    world.plane.control.start_apiserver().await.unwrap();
    assert_eq!(operator.ended(PATIENCE).await.unwrap(), Some(0));
    let status = world.status("c06").await;
    assert_verified(&status, &number);
    assert_eq!(world.calls(&number).len(), 1);
    world.finish_after_restart().await.unwrap();
}

/// Patches a label some forty times a second until told to stop: at the API server's full speed, no
/// other client would ever get a write in.
async fn relabel(world: &World, name: &str, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let label = json!({"metadata": {"labels": {"n": n.to_string()}}});
        world.patch(name, label).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn conflicts(world: &World) -> usize {
    let mut lost = world.requests().unwrap();
    lost.retain(|r| r.subresource == "status" && r.code == 409);
    lost.len()
}

#[tokio::test]
async fn c07_an_outcome_is_recorded_through_conflicts() {
    let world = World::new(OPERATOR, "c07").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("c07", &number, &code(1)).await;
    let held = world.held().await;
    // From here on the version that the claim left is outdated.
    let touched = json!({"metadata": {"labels": {"n": "first"}}});
    world.patch("c07", touched).await.unwrap();
    let stop = AtomicBool::new(false);
    let recorded = async {
        world.go_on(held);
        let status = reason(&world, "c07", "Verified").await;
        stop.store(true, Ordering::Relaxed);
        status
    };
    let (status, ()) = tokio::join!(recorded, relabel(&world, "c07", &stop));
    assert_verified(&status, &number);
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    assert!(conflicts(&world) >= 1, "no write met a conflict");
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}

/// Another client claims while the pre-read is held: the stored claim wins, and the operator sends
/// nothing.
#[tokio::test]
async fn a_claim_of_another_process_during_the_pre_read_wins() {
    let world = World::new(OPERATOR, "foreign-race").await.unwrap();
    let number = phone(1);
    let look = FaultRule::new(Fault::gate(Stage::Received)).action(READ_STATUS);
    world.fault(look.once());
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("race", &number, &code(1)).await;
    let held = world.held().await;
    let attempt = super::forged::attempt(FOREIGN);
    let claim = json!({"attempt": attempt});
    world.patch_status("race", claim).await.unwrap();
    world.go_on(held);
    let status = reason(&world, "race", "OutcomeUnknown").await;
    assert_eq!(status["attempt"]["id"], FOREIGN, "{status}");
    assert!(world.calls(&number).is_empty());
    world.finish().await.unwrap();
}

/// The claim's request may be stored after its deadline: in either case, one call is made.
#[tokio::test]
async fn c04_a_claim_without_an_answer_is_not_sent_and_not_stuck() {
    let (_dir, world) = apart(OPERATOR, "c04").await;
    let number = phone(1);
    let look = FaultRule::new(Fault::gate(Stage::Received));
    world.fault(look.action(READ_STATUS).once());
    let operator = world.start(NEVER_FINAL).await;
    world.migrate("c04", &number, &code(1)).await;
    let held = world.held().await;
    world.plane.control.pause_apiserver().unwrap();
    world.go_on(held);
    operator.until_logged("Attempt not begun").await;
    world.plane.control.resume_apiserver().unwrap();
    assert!(world.calls(&number).is_empty(), "sent without a claim");
    let status = verified(&world, "c04", &number).await;
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.counts(&number), (1, 1));
    world.finish_after_restart().await.unwrap();
}

/// Another client writes a released attempt into status while the call is in flight: CAMS's answer
/// counts.
async fn released_during_the_call(world: &World, right: &str, wanted: &str) -> Value {
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _operator = world.start(NEVER_FINAL).await;
    world.offer("r", &number, &code(1), right).await;
    let held = world.held().await;
    let mut forged = super::forged::attempt(FOREIGN);
    forged["outcome"] = "NotSent".into();
    let forged = json!({"attempt": forged});
    world.patch_status("r", forged).await.unwrap();
    world.go_on(held);
    let status = reason(world, "r", wanted).await;
    // Recorded by the attempt itself: it needed no second claim to find out.
    let call = &world.calls(&number)[0];
    let ledgers = world.ledgers().await.unwrap();
    let entry = &ledgers[0]["entries"][0];
    assert_eq!(entry["attemptId"].as_str(), call.nonce.as_deref());
    world.looked("r").await;
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
    status
}

#[tokio::test]
async fn an_accepted_call_outweighs_a_release_that_is_not_its_own() {
    let world = World::new(OPERATOR, "outweighed-ok").await.unwrap();
    let status = released_during_the_call(&world, &code(1), "Verified").await;
    assert_verified(&status, &phone(1));
}

#[tokio::test]
async fn a_refused_call_outweighs_a_release_that_is_not_its_own() {
    let world = World::new(OPERATOR, "outweighed").await.unwrap();
    let status = released_during_the_call(&world, &code(9), "CodeRejected").await;
    assert_eq!(status["history"][0]["outcome"], "Refused", "{status}");
}
