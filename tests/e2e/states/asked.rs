//! A user's requests: each requestedAt and each new retryToken makes one status read, and the
//! operator acknowledges it when it has read the Secret for it.

use harness::reason;

use super::expect::*;

const PHONE: &str = "8613800001401";
const CODE: &str = "40718265";
const WRONG: &str = "99887766";

/// A resource whose code was refused, and an operator behind a proxy.
async fn refused(name: &str) -> (World, FaultProxy, Operator) {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.code("m", WRONG).await.unwrap();
    let (proxy, operator) = world.proxied(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let rejected = code_refused();
    shows(&world, "m", rejected).await;
    (world, proxy, operator)
}

/// Suspends it; the operator does not read the Secret of a suspended resource.
async fn suspends(world: &World) {
    world.edit("m", json!({"suspend": true})).await;
    let before = world.reads(PHONE).len();
    world.looked("m").await;
    until("its read", || world.reads(PHONE).len() > before).await;
}

/// A user resumes it, and asks for a reconcile, at once.
async fn resumes_and_asks(world: &World) {
    let annotations = json!({"phonemigration.dev/requestedAt": "now"});
    let both = json!({"spec": {"suspend": false}, "metadata": {"annotations": annotations}});
    world.patch("m", both).await.unwrap();
}

#[tokio::test]
async fn a_number_verified_in_the_console_is_adopted_when_a_person_asks() {
    let (world, _proxy, _operator) = refused("outside").await;
    let before = world.reads(PHONE).len();
    // Each value makes one read, whatever the state, and none after it.
    for n in 1..=3 {
        world.looked("m").await;
        let made = || world.reads(PHONE).len() == before + n;
        until("one read", made).await;
    }
    world.retry("m", "look").await;
    let made = || world.reads(PHONE).len() == before + 4;
    until("one read", made).await;
    world.verified_elsewhere(PHONE, CODE, "id-1");
    world.request("m", "finished in the console").await.unwrap();
    let status = shows(&world, "m", verified("adopted")).await;
    assert_eq!(status["id"], "id-1", "{status}");
    assert_eq!(world.reads(PHONE).len(), before + 5);
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn where_a_new_code_may_go_the_read_before_it_is_the_one_that_was_asked_for() {
    let (world, _proxy, _operator) = refused("pre-read").await;
    suspends(&world).await;
    put_code(&world, "m", CODE).await;
    let before = world.reads(PHONE).len();
    world.verified_elsewhere(PHONE, CODE, "id-1");
    resumes_and_asks(&world).await;
    let status = shows(&world, "m", verified("")).await;
    assert_eq!(status["id"], "id-1", "{status}");
    assert_eq!(world.reads(PHONE).len(), before + 1);
    assert_eq!(world.calls(PHONE).len(), 1, "the new code was not spent");
    finish(&world).await;
}

/// A code that never existed, and a resource that never had an attempt.
#[tokio::test]
async fn a_resource_that_waits_for_its_code_is_read_for_when_a_person_asks() {
    let world = World::new(OPERATOR, "outside-waiting").await.unwrap();
    world.number(PHONE, CODE, "id-1");
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", no_secret()).await;
    assert!(world.reads(PHONE).is_empty(), "nobody asked");
    world.verified_elsewhere(PHONE, CODE, "id-1");
    world.request("m", "now").await.unwrap();
    shows(&world, "m", verified("already verified; no code was spent")).await;
    assert_eq!(world.reads(PHONE).len(), 1);
    assert!(world.calls(PHONE).is_empty());
    finish(&world).await;
}

/// A waiting user sees the annotation in status, and then trusts `Finished`: it must be about the
/// new code.
#[tokio::test]
async fn a_request_is_acknowledged_when_its_secret_was_read_and_not_before() {
    let (world, proxy, _operator) = refused("acknowledged").await;
    suspends(&world).await;
    put_code(&world, "m", CODE).await;
    let held = proxy.rule(When::get("secrets").name("m-code"), Then::Hold);
    resumes_and_asks(&world).await;
    until("a look at the Secret", || held.hits() > 0).await;
    let status = world.status("m").await;
    assert_ne!(status["lastHandledReconcileAt"], "now", "{status}");
    held.remove();
    let seen = |status: &Value| status["lastHandledReconcileAt"] == "now";
    let status = world.until_status("m", seen).await;
    // Queued, or done: never the outcome of the old code.
    assert_ne!(reason(&status), "CodeRejected", "{status}");
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}
