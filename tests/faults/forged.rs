//! Statuses that this operator did not write: restored, copied or forged. None of them leads to
//! a call that was not due, and none to a success that CAMS does not confirm.

use harness::cams_simulator::Number;
use harness::{Migration, World, condition};
use serde_json::{Value, json};

use crate::{
    NEVER_FINAL, OPERATOR, SOON_FINAL, assert_final_unknown, assert_verified, code, finished,
    phone, reason, until,
};

/// A claim of now that nobody knows.
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
    world.number(&number, &code(n), &format!("id-{number}"));
    world.code(name, &code(n)).await.unwrap();
    world.create(&Migration::new(name, &number)).await.unwrap();
    world.patch_status(name, status).await.unwrap();
}

#[tokio::test]
async fn a_foreign_claim_is_observed_and_ends_final_unknown() {
    let world = World::new(OPERATOR, "foreign").await.unwrap();
    forged(&world, "f", 1, json!({"attempt": attempt("not-ours")})).await;
    let _operator = world.operator(SOON_FINAL).await.unwrap();
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
    let _operator = world.operator(NEVER_FINAL).await.unwrap();
    let status = reason(&world, "f", "Verified").await;
    assert_verified(&status, &number);
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
        json!({"reason": "Verified", "verifiedAt": END_OF_TIME}),
        json!({"history": [entry("Accepted", END_OF_TIME)]}),
        claim(json!({"outcome": "Accepted", "finishedAt": END_OF_TIME})),
    ];
    for (n, status) in statuses.iter().enumerate() {
        forged(&world, &format!("f-{n}"), n, status.clone()).await;
    }
    let _operator = world.operator(NEVER_FINAL).await.unwrap();
    // Everybody was visited when the newest is through, and again by their own requests.
    world
        .ready_migration("honest", &phone(99), &code(99))
        .await
        .unwrap();
    let status = reason(&world, "honest", "Verified").await;
    assert_verified(&status, &phone(99));
    for n in 0..statuses.len() {
        crate::look_again(&world, &format!("f-{n}"), "now").await;
    }
    let observed = || !world.reads(&phone(0)).is_empty();
    until("an open claim is observed", observed).await;
    for (n, forged) in statuses.iter().enumerate() {
        let name = format!("f-{n}");
        assert!(world.calls(&phone(n)).is_empty(), "{name}: {forged}");
        let status = world.get(&name).await.unwrap().data["status"].clone();
        assert!(status["id"].is_null(), "{name}: {status}");
        assert_ne!(condition(&status, "Ready"), "True", "{name}: {status}");
        // What a forger calls accepted is no outcome that was lost.
        world.delete(&name).await.unwrap();
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn t19_a_forged_release_gives_no_more_codes_than_the_limit() {
    let world = World::new(OPERATOR, "forged-release").await.unwrap();
    let released = |number: i32| claim(json!({"number": number, "outcome": "NotSent"}));
    forged(&world, "absurd", 1, released(1000)).await;
    forged(&world, "plain", 2, released(1)).await;
    let _operator = world.operator(NEVER_FINAL).await.unwrap();
    // A release that is believed costs nothing: its code was never spent, as far as can be told.
    let status = reason(&world, "plain", "Verified").await;
    assert_verified(&status, &phone(2));
    crate::look_again(&world, "absurd", "now").await;
    assert!(world.calls(&phone(1)).is_empty());
    world.finish().await.unwrap();
}

#[tokio::test]
async fn t19_a_hold_from_a_forged_status_is_short() {
    let world = World::new(OPERATOR, "forged-hold").await.unwrap();
    let mut status = claim(json!({"outcome": "Throttled"}));
    let soon = jiff::Timestamp::now() + std::time::Duration::from_secs(8);
    status["reason"] = "Throttled".into();
    status["nextAttemptAt"] = soon.round(jiff::Unit::Second).unwrap().to_string().into();
    status["attempt"]["finishedAt"] = status["attempt"]["signedAt"].clone();
    forged(&world, "held", 1, status).await;
    let _operator = world.operator(NEVER_FINAL).await.unwrap();
    let status = reason(&world, "held", "Verified").await;
    assert_verified(&status, &phone(1));
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}
