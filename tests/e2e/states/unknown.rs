//! The unknown outcome: observed, adopted or final, and never sent again.

use super::expect::*;

const PHONE: &str = "8613800000401";
const CODE: &str = "40718265";
const NEXT: &str = "55443322";

/// A world whose first call is lost at `stage`.
async fn world(name: &str, stage: Stage) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.next_call(Fault::close(stage));
    world
}

const PROVISIONAL: &str = "until then no code is submitted, whatever changes";

#[tokio::test]
async fn a_lost_reply_is_provisional_and_adopted_once_a_read_says_verified() {
    let world = world("adopted", Stage::Executed).await;
    let _operator = world.begin(&[], "m", PHONE, CODE).await;
    let status = shows(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    assert_eq!(status["attempt"]["outcome"], "Unknown", "{status}");
    let until_when = status["nextAttemptAt"].as_str().unwrap();
    assert!(message(&status).contains(until_when), "{status}");
    let says = "adopted; the verification may be an earlier one";
    let status = shows(&world, "m", verified(says)).await;
    assert_eq!(status["id"], "id-1");
    assert_eq!(status["attempt"]["outcome"], "Adopted");
    assert_eq!(world.calls(PHONE).len(), 1);
    until_events(&world, "m", &["OutcomeUnknown", "Verified"]).await;
    finish(&world).await;
}

/// Protection: `decide` is never asked for a claim while an attempt is open.
#[tokio::test]
async fn while_it_is_provisional_neither_a_new_code_nor_a_retry_token_sends_anything() {
    let world = world("provisional", Stage::Received).await;
    let _operator = world.begin(&[], "m", PHONE, CODE).await;
    shows(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    put_code(&world, "m", NEXT).await;
    world.retry("m", "please").await;
    let reads_before = world.reads(PHONE).len();
    world.looked("m").await;
    until("a read", || world.reads(PHONE).len() > reads_before).await;
    world.looked("m").await;
    shows(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

const FINAL: &str = "Request a new code and put it into the Secret";

#[tokio::test]
async fn without_a_verification_it_becomes_final_and_only_a_different_code_goes_on() {
    let world = world("final", Stage::Received).await;
    let flags = ["--signature-validity", "4s"];
    let mut operator = world.begin(&flags, "m", PHONE, CODE).await;
    let provisional = shows(&world, "m", progress("OutcomeUnknown", PROVISIONAL)).await;
    let count =
        |kind: &str, n: u8| format!("phonemigration_outcome_unknown{{kind=\"{kind}\"}} {n}");
    // An alert on outcomes that need a check in the CAMS console uses these.
    operator.until_metric(&count("provisional", 1)).await;
    let status = shows(&world, "m", ended("OutcomeUnknown", FINAL)).await;
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal");
    operator.until_metric(&count("final", 1)).await;
    operator.until_metric(&count("provisional", 0)).await;
    // One state twice, provisional and final: the second is not a repetition of the first.
    until_events(&world, "m", &["OutcomeUnknown", "OutcomeUnknown"]).await;
    assert_eq!(status["history"].as_array().unwrap().len(), 1);
    // Not before the signature had surely expired, by a margin of its own length.
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let signed = time(&provisional["attempt"]["signedAt"]);
    let waited = time(&status["attempt"]["finishedAt"]).duration_since(signed);
    assert!(waited.as_secs() >= 8, "{waited:?}");
    world.looked("m").await;
    world.retry("m", "please").await;
    world.looked("m").await;
    assert_eq!(world.calls(PHONE).len(), 1, "sent again");
    world.number(PHONE, NEXT, "id-2");
    new_code(&world, "m", NEXT).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attempt"]["number"], 2);
    finish(&world).await;
}

#[tokio::test]
async fn a_later_read_that_says_verified_adopts_even_a_final_one() {
    let world = world("late", Stage::Received).await;
    let _operator = world.begin(SOON_FINAL, "m", PHONE, CODE).await;
    shows(&world, "m", ended("OutcomeUnknown", FINAL)).await;
    world.verified_elsewhere(PHONE, CODE, "id-3");
    world.request("m", "look").await.unwrap();
    let status = shows(&world, "m", verified("adopted")).await;
    assert_eq!(status["id"], "id-3");
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn unreadable_it_stalls_without_being_finished_and_names_the_reads_error() {
    let world = world("overdue", Stage::Received).await;
    let broken = FaultRule::new(Fault::internal_error(Stage::Received)).action(READ_STATUS);
    let broken = world.sim.add_fault(broken).unwrap();
    let mut operator = world.begin(SOON_FINAL, "m", PHONE, CODE).await;
    let says = "the number's status cannot be read (InternalError)";
    shows(&world, "m", stalled("OutcomeUnknown", says)).await;
    let overdue = "phonemigration_outcome_unknown{kind=\"overdue\"} 1";
    operator.until_metric(overdue).await;
    put_code(&world, "m", NEXT).await;
    world.looked("m").await;
    assert_eq!(world.calls(PHONE).len(), 1, "replaced");
    world.sim.remove_fault(broken);
    world.number(PHONE, NEXT, "id-2");
    world.request("m", "look").await.unwrap();
    // The read makes it final, and then the different code goes on by itself.
    shows(&world, "m", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 2);
    finish(&world).await;
}

/// Without the Id, and without all of the data.
#[tokio::test]
async fn a_success_without_its_id_is_a_success_and_the_id_is_read() {
    for_each_row([Fault::OmitId, Fault::OmitData], without_its_id).await;
}

async fn without_its_id(omitted: Fault) {
    let world = World::new(OPERATOR, "no-id").await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.next_call(omitted);
    let _operator = world.begin(&[], "m", PHONE, CODE).await;
    let says = "its Id was not returned and is being read";
    let status = shows(&world, "m", verified(says)).await;
    assert!(status["id"].is_null(), "{status}");
    let has_id = |status: &Value| status["id"] == "id-1";
    world.until_status("m", has_id).await;
    let status = shows(&world, "m", accepted()).await;
    assert!(!message(&status).contains("being read"), "{status}");
    // The read adds the Id, and leaves the call's reply details.
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let calls = world.calls(PHONE);
    assert_eq!(calls.len(), 1);
    assert_eq!(status["requestId"], calls[0].request_id, "{status}");
    finish(&world).await;
}
