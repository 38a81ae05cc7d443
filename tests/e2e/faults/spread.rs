//! Many resources, and more than one process.

use harness::requests_of;

use super::*;

/// No lease: only the claims keep the two processes apart.
#[tokio::test]
async fn two_operators_send_each_code_once() {
    let world = World::new(OPERATOR, "two").await.unwrap();
    let _first = world.start(NEVER_FINAL).await;
    let _second = world.start(NEVER_FINAL).await;
    for n in 0..20 {
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    for n in 0..20 {
        verified(&world, &format!("m-{n}"), &phone(n)).await;
        assert_eq!(world.executed(&phone(n)), 1);
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn one_resource_costs_no_more_than_its_budget_of_requests() {
    let world = World::new(OPERATOR, "budget").await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    // The first one waits for the silent window after the start.
    world.migrate("first", &phone(1), &code(1)).await;
    reason(&world, "first", "Verified").await;
    world.migrate("second", &phone(2), &code(2)).await;
    reason(&world, "second", "Verified").await;
    let figures = world.finish().await.unwrap();
    for name in ["first", "second"] {
        let queued = shown_queued(&figures.requests, name);
        within(&figures.requests, name, 9 + queued, 4 + queued);
    }
}

/// How many status writes show it as queued: a busy machine is late.
fn shown_queued(all: &[AuditEntry], name: &str) -> usize {
    let queued = |r: &&&AuditEntry| {
        let body = r.request_object.as_ref();
        body.is_some_and(|body| body["status"]["reason"] == "Queued")
    };
    requests_of(all, name).iter().filter(queued).count()
}

fn within(all: &[AuditEntry], name: &str, requests: usize, writes: usize) {
    let about = requests_of(all, name);
    let shown: Vec<String> = about
        .iter()
        .map(|r| format!("{} {}/{} {}", r.verb, r.resource, r.subresource, r.code))
        .collect();
    let written = about.iter().filter(|r| r.verb != "get").count();
    assert!(about.len() <= requests, "{name}: {shown:#?}");
    assert!(written <= writes, "{name}: {shown:#?}");
}

#[tokio::test]
async fn thirty_accepted_codes_keep_their_budget_of_requests() {
    let world = World::new(OPERATOR, "thirty").await.unwrap();
    world.sim.set_processing(100);
    let _operator = world.start(NEVER_FINAL).await;
    for n in 0..30 {
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    for n in 0..30 {
        verified(&world, &format!("m-{n}"), &phone(n)).await;
        assert_eq!(world.executed(&phone(n)), 1);
    }
    let figures = world.finish().await.unwrap();
    // A busy machine may be late and meet a throttle, which costs another claim.
    let once: Vec<usize> = (0..30)
        .filter(|n| world.calls(&phone(*n)).len() == 1)
        .collect();
    assert!(once.len() >= 20, "{once:?}");
    // It may also lose a turn and evaluate twice: the test bounds the total cost, and each write.
    // Nine requests belong to the call itself; a resource that is shown in the queue needs one
    // more.
    let mut all = 0;
    for n in &once {
        let name = format!("m-{n}");
        all += requests_of(&figures.requests, &name).len();
        within(&figures.requests, &name, 18, 5);
    }
    assert!(all <= 10 * once.len(), "{all} requests for {}", once.len());
}

/// The other process gave the attempt up before this one got its refusal: the refusal says more.
#[tokio::test]
async fn a_late_refusal_replaces_a_final_unknown() {
    let world = World::new(OPERATOR, "late").await.unwrap();
    let number = phone(1);
    world.next_call_of(&number, Fault::gate(Stage::Executed));
    let _first = world.start(SOON_FINAL).await;
    let _second = world.start(SOON_FINAL).await;
    world.offer("late", &number, &code(1), &code(9)).await;
    let held = world.held().await;
    assert_final_unknown(&finished(&world, "late").await);
    world.go_on(held);
    let status = reason(&world, "late", "CodeRejected").await;
    assert_eq!(status["errorCode"], "VerifyCode.Mismatch", "{status}");
    assert_eq!(status["history"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}
