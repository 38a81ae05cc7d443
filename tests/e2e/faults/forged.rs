//! Statuses that this operator did not write: restored, copied or forged. None of them leads to
//! a call that was not due, and none to a success that CAMS does not confirm.

use super::*;

/// A current claim that no process remembers.
pub fn attempt(id: &str) -> Value {
    json!({
        "number": 1,
        "id": id,
        "signedAt": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap().to_string(),
        "secret": {"uid": "11111111-2222-3333-4444-555555555555", "resourceVersion": "1"},
        "generation": 1,
    })
}

/// A resource with a code that is right, and this status.
async fn forged(world: &World, name: &str, n: usize, status: Value) {
    let number = phone(n);
    world.offer(name, &number, &code(n), &code(n)).await;
    world.patch_status(name, status).await.unwrap();
}

#[tokio::test]
async fn a_foreign_claim_is_observed_and_ends_final_unknown() {
    let world = World::new(OPERATOR, "foreign").await.unwrap();
    forged(&world, "f", 1, json!({"attempt": attempt("not-ours")})).await;
    let _operator = world.start(SOON_FINAL).await;
    let status = finished(&world, "f").await;
    assert_final_unknown(&status);
    assert_eq!(status["attempt"]["id"], "not-ours", "{status}");
    assert!(world.calls(&phone(1)).is_empty());
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_foreign_claim_that_succeeded_is_adopted() {
    let world = World::new(OPERATOR, "foreign-ok").await.unwrap();
    let number = phone(1);
    forged(&world, "f", 1, json!({"attempt": attempt("not-ours")})).await;
    let known = Number::new(&number, code(1), format!("id-{number}")).verified();
    world.sim.add_number(known);
    let _operator = world.start(NEVER_FINAL).await;
    let status = verified(&world, "f", &number).await;
    assert_eq!(status["attempt"]["outcome"], "Adopted", "{status}");
    assert!(world.calls(&number).is_empty());
    world.finish().await.unwrap();
}

/// Puts one field over a claim.
fn claim(change: Value) -> Value {
    let mut attempt = attempt("forged");
    let fields = change.as_object().unwrap().clone();
    attempt.as_object_mut().unwrap().extend(fields);
    json!({"attempt": attempt})
}

const END_OF_TIME: &str = "9999-12-30T21:59:59Z";

#[tokio::test]
async fn t19_absurd_statuses_lead_to_no_call_and_stop_nobody() {
    let world = World::new(OPERATOR, "absurd").await.unwrap();
    let entry = |outcome: &str, at: &str| json!({"number": 1000, "attemptId": "x", "outcome": outcome, "finishedAt": at});
    let statuses = [
        claim(json!({"signedAt": "2099-01-01T00:00:00Z"})),
        claim(json!({"signedAt": END_OF_TIME})),
        claim(json!({"signedAt": "0001-01-01T00:00:00Z"})),
        claim(json!({"number": 0})),
        claim(json!({"number": 1000, "outcome": "Refused", "finishedAt": END_OF_TIME})),
        claim(json!({"outcome": "UnknownFinal", "finishedAt": END_OF_TIME})),
        claim(json!({"outcome": "Unknown", "finishedAt": END_OF_TIME})),
        json!({"history": [entry("Refused", END_OF_TIME)], "attemptLimit": 20}),
        json!({"history": [entry("UnknownFinal", END_OF_TIME)]}),
        json!({"history": [entry("Accepted", END_OF_TIME)]}),
        claim(json!({"outcome": "Accepted", "finishedAt": END_OF_TIME})),
    ];
    for (n, status) in statuses.iter().enumerate() {
        forged(&world, &format!("f-{n}"), n, status.clone()).await;
    }
    let _operator = world.start(NEVER_FINAL).await;
    // Every resource was reconciled when the newest is done, and again after its own request.
    world.migrate("honest", &phone(99), &code(99)).await;
    verified(&world, "honest", &phone(99)).await;
    for n in 0..statuses.len() {
        world.looked(&format!("f-{n}")).await;
    }
    let observed = || !world.reads(&phone(0)).is_empty();
    until("an open claim is observed", observed).await;
    for (n, forged) in statuses.iter().enumerate() {
        let name = format!("f-{n}");
        assert!(world.calls(&phone(n)).is_empty(), "{name}: {forged}");
        let status = world.status(&name).await;
        assert!(status["id"].is_null(), "{name}: {status}");
        assert_ne!(condition(&status, "Ready"), "True", "{name}: {status}");
        // A forged acceptance is not a lost outcome.
        world.delete(&name).await.unwrap();
    }
    world.finish().await.unwrap();
}

/// The ledger holds the count of codes: a status that is wiped, or forged to show a released
/// attempt, does not give more of them.
#[tokio::test]
async fn t19_a_forged_release_gives_no_more_codes_than_the_limit() {
    let world = World::new(OPERATOR, "forged-release").await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    let number = phone(1);
    world.offer("many", &number, &code(0), &code(99)).await;
    for n in 0..5 {
        world.code("many", &code(n)).await.unwrap();
        world.request("many", &format!("code {n}")).await.unwrap();
        until("the code is refused", || world.executed(&number) == n + 1).await;
        let wiped = json!({"attempt": null, "history": null, "attemptLimit": null, "reason": null});
        world.patch_status("many", wiped).await.unwrap();
    }
    world.code("many", &code(5)).await.unwrap();
    world.request("many", "one too many").await.unwrap();
    reason(&world, "many", "AttemptsExhausted").await;
    assert_eq!(world.calls(&number).len(), 5);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn t19_a_hold_from_a_forged_status_is_short() {
    let world = World::new(OPERATOR, "forged-hold").await.unwrap();
    let mut status = claim(json!({"outcome": "Throttled"}));
    let soon = jiff::Timestamp::now() + Duration::from_secs(8);
    status["reason"] = "Throttled".into();
    status["nextAttemptAt"] = soon.round(jiff::Unit::Second).unwrap().to_string().into();
    status["attempt"]["finishedAt"] = status["attempt"]["signedAt"].clone();
    forged(&world, "held", 1, status).await;
    let _operator = world.start(NEVER_FINAL).await;
    verified(&world, "held", &phone(1)).await;
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}
