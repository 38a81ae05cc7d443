//! Old frames of a watch come again, and a frame that never existed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{FrameThen, Recording};

use super::*;

const NAME: &str = "again";

/// The frame of a resource from before its claim.
fn record(proxy: &FaultProxy) -> Recording {
    let created = When::watch("phonemigrations").name(NAME).event("ADDED");
    proxy.record_frames(created.once())
}

async fn label(world: &World, value: &str) {
    let label = json!({"metadata": {"labels": {"n": value}}});
    world.patch(NAME, label).await.unwrap();
}

/// When the label gets this value, the recorded frames come once more behind it.
fn replay_at(proxy: &FaultProxy, value: &'static str, frames: &Recording) -> Rule {
    let when = When::watch("phonemigrations").name(NAME);
    let labelled = move |object: &Value| object["metadata"]["labels"]["n"] == value;
    let when = when.event("MODIFIED").body("label", labelled).once();
    proxy.frame_rule(when, FrameThen::Replay(frames.clone()))
}

/// The watch is ordered: when a later resource is verified, all earlier ones were reconciled.
async fn a_later_one(world: &World, n: usize) {
    let name = format!("later-{n}");
    world.migrate(&name, &phone(n), &code(n)).await;
    reason(world, &name, "Verified").await;
}

async fn sending(world: &World) {
    let number = phone(1);
    world.number(&number, &code(1), &format!("id-{number}"));
    world.code(NAME, &code(1)).await.unwrap();
    // No read answers: only the protocol keeps it from being sent again.
    world.unreadable(&number, u64::MAX).unwrap();
    world.make(&Migration::new(NAME, number)).await;
}

#[tokio::test]
async fn old_frames_after_the_outcome_send_nothing_again() {
    let world = World::new(OPERATOR, "replay-after").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let created = record(&proxy);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    sending(&world).await;
    let status = by_one_call(&world, NAME, &phone(1)).await;
    assert_eq!(created.count(), 1);
    let replayed = replay_at(&proxy, "created", &created);
    label(&world, "created").await;
    replayed.hit().await.unwrap();
    a_later_one(&world, 2).await;
    let now = world.status(NAME).await;
    assert_eq!(now, status);
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn old_frames_during_the_call_send_nothing_again() {
    let world = World::new(OPERATOR, "replay-during").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let created = record(&proxy);
    world.next_call_of(&phone(1), Fault::gate(Stage::Executed));
    let twice = proxy.frame_rule(When::watch("phonemigrations"), FrameThen::Duplicate);
    // Added after the other rule, so its replay comes last.
    let replayed = replay_at(&proxy, "created", &created);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    sending(&world).await;
    let held = world.held().await;
    label(&world, "created").await;
    replayed.hit().await.unwrap();
    a_later_one(&world, 2).await;
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.go_on(held);
    by_one_call(&world, NAME, &phone(1)).await;
    a_later_one(&world, 3).await;
    assert!(twice.hits() > 3);
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}

/// While it is on, changes of the resource appear as its deletion.
fn lies(proxy: &FaultProxy) -> (Arc<AtomicBool>, Rule) {
    let on = Arc::new(AtomicBool::new(false));
    let lying = Arc::clone(&on);
    let change = move |frame: Vec<u8>| {
        let text = String::from_utf8_lossy(&frame);
        let about = text.contains(&format!("\"name\":\"{NAME}\""));
        if about && lying.load(Ordering::Relaxed) {
            return text.replacen("MODIFIED", "DELETED", 1).into_bytes();
        }
        frame
    };
    let rule = proxy.rule(When::watch("phonemigrations"), Then::corrupt(change));
    (on, rule)
}

/// The process forgets the resource, and then sees it as it was before its claim.
#[tokio::test]
async fn a_deletion_that_never_was_and_an_old_frame_send_nothing_again() {
    let world = World::new(OPERATOR, "replay-deleted").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let created = record(&proxy);
    let (lying, _lies) = lies(&proxy);
    world.next_call_of(&phone(1), Fault::gate(Stage::Executed));
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    sending(&world).await;
    let held = world.held().await;
    // During the call …
    lying.store(true, Ordering::Relaxed);
    label(&world, "deleted-during-the-call").await;
    a_later_one(&world, 2).await;
    world.go_on(held);
    let status = by_one_call(&world, NAME, &phone(1)).await;
    // … and after it.
    let replayed = replay_at(&proxy, "deleted", &created);
    label(&world, "deleted").await;
    replayed.hit().await.unwrap();
    a_later_one(&world, 3).await;
    lying.store(false, Ordering::Relaxed);
    label(&world, "there").await;
    a_later_one(&world, 4).await;
    let now = world.status(NAME).await;
    assert_eq!(now, status);
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}
