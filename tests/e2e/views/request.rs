//! A user changes the Secret and requests a reconcile while the operator acts on an older reading of
//! the Secret: that reading must not answer the request.

use harness::requests_of;

use super::*;

/// The write of the state meets a conflict with the request.
#[tokio::test]
async fn a_reading_from_before_a_request_is_not_its_answer() {
    let world = World::new(OPERATOR, "request").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let write = When::update("phonemigrations/status").name("m");
    let hold = proxy.rule(write, Then::Hold);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.number(&phone(1), &code(1), "id");
    world.make(&Migration::new("m", phone(1))).await;
    hold.hit().await.unwrap();
    world.code("m", &code(1)).await.unwrap();
    world.request("m", "now").await.unwrap();
    hold.remove();
    reason(&world, "m", "Verified").await;
    let figures = world.finish().await.unwrap();
    let writes = requests_of(&figures.requests, "m");
    let statuses = writes.iter().filter_map(|r| r.request_object.as_ref());
    let answers: Vec<&str> = statuses
        .map(|object| &object["status"])
        .filter(|status| status["lastHandledReconcileAt"] == "now")
        .map(harness::reason)
        .collect();
    assert_eq!(answers, ["Verified"]);
}

/// The attempt reads the Secret, and then the resource with the request or with the new token.
#[tokio::test]
async fn an_attempt_takes_the_code_that_was_there_at_the_request() {
    for by_token in [false, true] {
        let world = World::new(OPERATOR, "request-attempt").await.unwrap();
        let proxy = world.proxy().await.unwrap();
        let hold = proxy.rule(When::get("phonemigrations").name("m"), Then::Hold);
        let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
        world.number(&phone(1), &code(2), "id");
        world.code("m", &code(1)).await.unwrap();
        world.make(&Migration::new("m", phone(1))).await;
        hold.hit().await.unwrap();
        let read_again = || {
            let requests = world.requests().unwrap();
            let reads = requests
                .iter()
                .filter(|r| r.resource == "secrets" && r.code == 200);
            reads.count() >= 2
        };
        until("the attempt has read the Secret", read_again).await;
        world.code("m", &code(2)).await.unwrap();
        match by_token {
            true => world.retry("m", "now").await,
            false => world.request("m", "now").await.unwrap(),
        }
        hold.remove();
        reason(&world, "m", "Verified").await;
        let calls = world.calls(&phone(1));
        assert_eq!(calls.len(), 1, "by token: {by_token}, {calls:?}");
        assert_eq!(calls[0].code.as_deref(), Some(&*code(2)));
        world.finish().await.unwrap();
    }
}
