//! The unknown outcome: observed, adopted or final, and never sent again.

use std::time::Duration;

use harness::cams_simulator::{Fault, FaultRule, Number, READ_STATUS, Stage};
use harness::expect::until_events;
use harness::{Migration, World};

use super::expect::*;

const PHONE: &str = "8613800000401";
const CODE: &str = "40718265";
const NEXT: &str = "55443322";

/// A world whose first call is lost at `stage`.
async fn world(name: &str, stage: Stage) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.code("m", CODE).await.unwrap();
    world.next_call(Fault::close(stage));
    world
}

const PROVISIONAL: &str = "until then no code is submitted, whatever changes";

#[tokio::test]
async fn a_lost_reply_is_provisional_and_adopted_once_a_read_says_verified() {
    let world = world("adopted", Stage::Executed).await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let status = until(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    assert_eq!(status["attempt"]["outcome"], "Unknown", "{status}");
    let until_when = status["nextAttemptAt"].as_str().unwrap();
    assert!(message(&status).contains(until_when), "{status}");
    let status = until(
        &world,
        "m",
        verified("adopted; the verification may be an earlier one"),
    )
    .await;
    assert_eq!(status["id"], "id-1");
    assert_eq!(status["attempt"]["outcome"], "Adopted");
    assert_eq!(calls(&world, PHONE).len(), 1);
    until_events(&world, "m", &["OutcomeUnknown", "Verified"]).await;
    finish(&world).await;
}

/// Protection: `decide` is never asked for a claim while an attempt is open.
#[tokio::test]
async fn while_it_is_provisional_neither_a_new_code_nor_a_retry_token_sends_anything() {
    let world = world("provisional", Stage::Received).await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    until(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    put_code(&world, "m", NEXT).await;
    world.retry("m", "please").await;
    let reads_before = reads(&world, PHONE).len();
    world.looked("m").await;
    until_sim("a read", Duration::from_secs(20), || {
        reads(&world, PHONE).len() > reads_before
    })
    .await;
    world.looked("m").await;
    until(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

const FINAL: &str = "Request a new code and put it into the Secret";

#[tokio::test]
async fn without_a_verification_it_becomes_final_and_only_a_different_code_goes_on() {
    let world = world("final", Stage::Received).await;
    let mut operator = world.start(&["--signature-validity", "4s"]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let provisional = until(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    let count =
        |kind: &str, n: u8| format!("phonemigration_outcome_unknown{{kind=\"{kind}\"}} {n}");
    // An alert on outcomes that need a check in the CAMS console uses these.
    operator.until_metric(&count("provisional", 1)).await;
    let status = until(&world, "m", stalled("OutcomeUnknown", true, FINAL)).await;
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal");
    operator.until_metric(&count("final", 1)).await;
    operator.until_metric(&count("provisional", 0)).await;
    // One state twice, provisional and final: the second is not a repetition of the first.
    until_events(&world, "m", &["OutcomeUnknown", "OutcomeUnknown"]).await;
    assert_eq!(status["history"].as_array().unwrap().len(), 1);
    // Not before the signature had surely expired, by a margin of its own length.
    let time =
        |value: &serde_json::Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let signed = time(&provisional["attempt"]["signedAt"]);
    let waited = time(&status["attempt"]["finishedAt"]).duration_since(signed);
    assert!(waited.as_secs() >= 8, "{waited:?}");
    world.looked("m").await;
    world.retry("m", "please").await;
    world.looked("m").await;
    assert_eq!(
        calls(&world, PHONE).len(),
        1,
        "the same code is not sent again"
    );
    world.number(PHONE, NEXT, "id-2");
    new_code(&world, "m", NEXT).await;
    let status = until(&world, "m", verified("CAMS accepted the code")).await;
    assert_eq!(status["attempt"]["number"], 2);
    finish(&world).await;
}

#[tokio::test]
async fn a_later_read_that_says_verified_adopts_even_a_final_one() {
    let world = world("late", Stage::Received).await;
    let _operator = world.start(&["--signature-validity", "2s"]).await;
    world.make(&Migration::new("m", PHONE)).await;
    until(&world, "m", stalled("OutcomeUnknown", true, FINAL)).await;
    world
        .sim
        .add_number(Number::new(PHONE, CODE, "id-3").verified());
    world.request("m", "look").await.unwrap();
    let status = until(&world, "m", verified("adopted")).await;
    assert_eq!(status["id"], "id-3");
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn unreadable_it_stalls_without_being_finished_and_names_the_reads_error() {
    let world = world("overdue", Stage::Received).await;
    let broken = FaultRule::new(Fault::internal_error(Stage::Received)).action(READ_STATUS);
    let broken = world.sim.add_fault(broken).unwrap();
    let mut operator = world.start(&["--signature-validity", "2s"]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let says = "the number's status cannot be read (InternalError)";
    until(&world, "m", stalled("OutcomeUnknown", false, says)).await;
    let overdue = "phonemigration_outcome_unknown{kind=\"overdue\"} 1";
    operator.until_metric(overdue).await;
    put_code(&world, "m", NEXT).await;
    world.looked("m").await;
    assert_eq!(
        calls(&world, PHONE).len(),
        1,
        "what may be executed is not replaced"
    );
    world.sim.remove_fault(broken);
    world.number(PHONE, NEXT, "id-2");
    world.request("m", "look").await.unwrap();
    // The read makes it final, and then the different code goes on by itself.
    until(&world, "m", verified("CAMS accepted the code")).await;
    assert_eq!(calls(&world, PHONE).len(), 2);
    finish(&world).await;
}

#[tokio::test]
async fn a_success_without_its_id_is_a_success_and_the_id_is_read() {
    without_its_id("no-id", Fault::OmitId).await;
}

#[tokio::test]
async fn a_success_without_data_is_a_success_and_the_id_is_read() {
    without_its_id("no-data", Fault::OmitData).await;
}

async fn without_its_id(name: &str, omitted: Fault) {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.next_call(omitted);
    world.code("m", CODE).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let status = until(
        &world,
        "m",
        verified("its Id was not returned and is being read"),
    )
    .await;
    assert!(status["id"].is_null(), "{status}");
    let has_id = |status: &serde_json::Value| status["id"] == "id-1";
    world
        .until("m", Duration::from_secs(20), has_id)
        .await
        .unwrap();
    let status = until(&world, "m", verified("CAMS accepted the code")).await;
    assert!(!message(&status).contains("being read"), "{status}");
    // The read adds the Id, and leaves the call's reply details.
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let calls = calls(&world, PHONE);
    assert_eq!(calls.len(), 1);
    assert_eq!(status["requestId"], calls[0].request_id, "{status}");
    finish(&world).await;
}
