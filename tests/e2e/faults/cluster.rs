//! The API server fails or refuses at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::cams_simulator::{Fault, FaultRule, READ_STATUS, Release, Stage};
use harness::control_plane::{ControlPlane, Options};
use harness::{Error, Migration, World, install};
use serde_json::json;

use super::{NEVER_FINAL, OPERATOR, PATIENCE, assert_verified, code, phone, reason, until};

#[tokio::test]
async fn c06_an_outcome_is_recorded_during_the_shutdown_of_the_process() -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let control = ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap();
    let world = World::on(Arc::new(install(control).await?), OPERATOR, "c06").await?;
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let mut operator = world.operator(NEVER_FINAL).await?;
    world.ready_migration("c06", &number, &code(1)).await?;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    world.plane.control.stop_apiserver();
    assert!(world.sim.release(held.id, Release::Continue));
    let log = std::fs::read_to_string;
    let path = world.dir().join("operator-0.log");
    let tried = || log(&path).unwrap().contains("Outcome not recorded yet");
    until("the operator tried to record it", tried).await;
    operator.terminate().await?;
    super::terminate::until_not_ready(&mut operator).await;
    world.plane.control.start_apiserver().await.unwrap();
    assert_eq!(operator.ended(PATIENCE).await?, Some(0));
    let status = world.get("c06").await?.data["status"].clone();
    assert_verified(&status, &number);
    assert_eq!(world.calls(&number).len(), 1);
    world.finish_after_restart().await.map(|_| ())
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
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn conflicts(world: &World) -> usize {
    let requests = world.requests().unwrap();
    let lost = requests
        .iter()
        .filter(|r| r.subresource == "status" && r.code == 409);
    lost.count()
}

#[tokio::test]
async fn c07_an_outcome_is_recorded_through_conflicts() {
    let world = World::new(OPERATOR, "c07").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("c07", &number, &code(1)).await;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    // From here on the version that the claim left is outdated.
    let touched = json!({"metadata": {"labels": {"n": "first"}}});
    world.patch("c07", touched).await.unwrap();
    let stop = AtomicBool::new(false);
    let recorded = async {
        assert!(world.sim.release(held.id, Release::Continue));
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
    let look = FaultRule::new(Fault::gate(Stage::Received))
        .action(READ_STATUS)
        .once();
    world.fault(look);
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("race", &number, &code(1)).await;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    let attempt = super::forged::attempt("00112233445566778899aabbccddeeff");
    world
        .patch_status("race", json!({"attempt": attempt}))
        .await
        .unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    let status = reason(&world, "race", "OutcomeUnknown").await;
    assert_eq!(
        status["attempt"]["id"], "00112233445566778899aabbccddeeff",
        "{status}"
    );
    assert!(world.calls(&number).is_empty());
    world.finish().await.unwrap();
}

/// The claim's request may be stored after its deadline: in either case, one call is made.
#[tokio::test]
async fn c04_a_claim_without_an_answer_is_not_sent_and_not_stuck() -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let control = ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap();
    let world = World::on(Arc::new(install(control).await?), OPERATOR, "c04").await?;
    let number = phone(1);
    let look = FaultRule::new(Fault::gate(Stage::Received));
    world.fault(look.action(READ_STATUS).once());
    let operator = world.operator(NEVER_FINAL).await?;
    world.ready_migration("c04", &number, &code(1)).await?;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    world.plane.control.pause_apiserver().unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    let gave_up = || operator.log().contains("Attempt not begun");
    until("the claim was given up", gave_up).await;
    world.plane.control.resume_apiserver().unwrap();
    assert!(world.calls(&number).is_empty(), "sent without a claim");
    let status = reason(&world, "c04", "Verified").await;
    assert_verified(&status, &number);
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(
        (world.calls(&number).len(), world.executed(&number)),
        (1, 1)
    );
    world.finish_after_restart().await.map(|_| ())
}

/// Another client writes a released attempt into status while the call is in flight: CAMS's answer
/// counts.
async fn released_during_the_call(world: &World, right: &str, wanted: &str) -> serde_json::Value {
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _operator = world.start(NEVER_FINAL).await;
    world.number(&number, right, &format!("id-{number}"));
    world.code("r", &code(1)).await.unwrap();
    world.make(&Migration::new("r", &number)).await;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    let mut forged = super::forged::attempt("00112233445566778899aabbccddeeff");
    forged["outcome"] = "NotSent".into();
    world
        .patch_status("r", json!({"attempt": forged}))
        .await
        .unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
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
