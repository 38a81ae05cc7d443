//! A ledger is deleted, or another process has other settings: memory and statuses replace it.

use super::*;

/// The resource is gone as well: only the memory of the process knows the code.
#[tokio::test]
async fn a_ledger_deleted_under_a_living_operator_is_filled_again_from_its_memory() {
    let world = World::new(OPERATOR, "lost-living").await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    refused(&world, "first").await;
    let number = phone(1);
    world.delete("first").await.unwrap();
    delete_ledger(&world, &number).await;
    world.code("second", &code(2)).await.unwrap();
    world.make(&Migration::new("second", &number)).await;
    reason(&world, "second", "CodeRejected").await;
    assert_eq!(world.calls(&number).len(), 1);
    // Another code is claimed on the basis of memory: the ledger has both from then on.
    world.replace_code("second", &code(3)).await;
    until("it is refused", || world.calls(&number).len() == 2).await;
    let both = async || outcomes(&world, &number).await == ["Refused", "Refused"];
    until_asked("both are there", both).await;
    world.replace_code("second", &code(2)).await;
    world.looked("second").await;
    assert_eq!(world.calls(&number).len(), 2);
    world.finish().await.unwrap();
}

/// A new process knows only the ledger and the statuses: no other resource sends a code that a
/// status shows as spent, and the next claim of the resource that spent it fills the ledger again.
#[tokio::test]
async fn a_ledger_deleted_under_a_restarted_operator_is_filled_again_from_statuses() {
    let world = World::new(OPERATOR, "lost-restarted").await.unwrap();
    let mut operator = world.start(NEVER_FINAL).await;
    let before = refused(&world, "first").await;
    let number = phone(1);
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    delete_ledger(&world, &number).await;
    world.code("second", &code(2)).await.unwrap();
    world.make(&Migration::new("second", &number)).await;
    let _operator = world.start(NEVER_FINAL).await;
    reason(&world, "second", "CodeRejected").await;
    let first = world.looked("first").await;
    assert_eq!(first["attempt"], before["attempt"], "{first}");
    assert_eq!(first["history"], before["history"], "{first}");
    assert_eq!(world.calls(&number).len(), 1);
    // A different code goes on.
    world.replace_code("first", &code(1)).await;
    verified(&world, "first", &number).await;
    assert_eq!(world.calls(&number).len(), 2);
    assert_eq!(outcomes(&world, &number).await, ["Accepted", "Refused"]);
    let entry = &ledger_of(&world, &number).await.unwrap()["entries"][1];
    assert_eq!(entry["imported"], true, "{entry}");
    assert_eq!(entry["attemptId"], before["attempt"]["id"], "{entry}");
    world.finish().await.unwrap();
}

/// The end of a signature is stored with it: a process with another `--signature-validity` does not
/// end it early.
#[tokio::test]
async fn an_open_entry_ends_when_its_own_signature_does_whatever_a_later_process_is_told() {
    let world = World::new(OPERATOR, "validity").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::close(Stage::Counted));
    let mut operator = world.start(NEVER_FINAL).await;
    world.migrate("m", &number, &code(1)).await;
    let before = reason(&world, "m", "OutcomeUnknown").await;
    operator.kill().await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    // Read when a signature with the second process's own validity would be final.
    let signed: jiff::Timestamp = before["attempt"]["signedAt"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .unwrap();
    let past = signed + Duration::from_secs(6);
    until("it would be final", || jiff::Timestamp::now() > past).await;
    let reads = world.reads(&number).len();
    world.request("m", "read it").await.unwrap();
    until("it was read", || world.reads(&number).len() > reads).await;
    world.code("m", &code(2)).await.unwrap();
    let status = world.looked("m").await;
    assert_eq!(harness::reason(&status), "OutcomeUnknown", "{status}");
    assert_eq!(status["attempt"]["finalAt"], before["attempt"]["finalAt"]);
    assert_eq!(status["nextAttemptAt"], before["nextAttemptAt"], "{status}");
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}
