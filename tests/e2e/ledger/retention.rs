//! Ledgers outlive the resources of their number by 30 days, but no longer.

use std::time::Duration;

use harness::{Operator, Then, When};
use kube::api::{DynamicObject, PostParams};
use phone_migration_operator::domain::ledger::ledger_name;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A ledger whose only entry was signed so many days ago.
async fn old_ledger(world: &World, n: usize, days: u32, namespace: &str, outcome: Option<&str>) {
    let signed = jiff::Timestamp::now() - DAY * days;
    let at = |time: jiff::Timestamp| time.round(jiff::Unit::Second).unwrap().to_string();
    let ledger = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
        "metadata": {"name": ledger_name(&phone(n))},
        "spec": {"phoneNumber": phone(n)},
        "entries": [{
            "attemptId": format!("old-{n}"), "fingerprint": format!("00112233:{n:032}"),
            "custSpaceId": "29348393884", "outcome": outcome,
            "signedAt": at(signed), "finalAt": at(signed + Duration::from_secs(1920)),
            "migration": {"namespace": namespace, "name": "m", "uid": "u"},
        }],
    });
    let mut ledger: DynamicObject = serde_json::from_value(ledger).unwrap();
    if outcome.is_none() {
        let entry = ledger.data["entries"][0].as_object_mut().unwrap();
        entry.remove("outcome");
    }
    let params = PostParams::default();
    let created = world.ledger_api().create(&params, &ledger).await;
    created.unwrap();
}

/// The operator deletes only a ledger that ended long ago and whose number has no resource.
#[tokio::test]
async fn a_ledger_is_deleted_thirty_days_after_its_last_code_unless_somebody_needs_it() {
    let world = World::new(OPERATOR, "retention").await.unwrap();
    let ours = world.namespace.clone();
    old_ledger(&world, 1, 31, &ours, Some("Refused")).await;
    old_ledger(&world, 2, 29, &ours, Some("Refused")).await;
    old_ledger(&world, 3, 31, "not-watched", Some("Refused")).await;
    old_ledger(&world, 4, 31, &ours, Some("Refused")).await;
    // Open, however old: it is observed first.
    old_ledger(&world, 5, 31, &ours, None).await;
    let suspended = json!({"suspend": true});
    let of_four = Migration::new("m", phone(4)).spec(suspended);
    world.make(&of_four).await;
    // The list of ledgers comes after the lists of resources: otherwise nothing is deleted.
    let proxy = world.proxy().await.unwrap();
    let listed = proxy.rule(When::list("codeledgers"), Then::Hold);
    let launch = world.launch_via(&proxy.url(), NEVER_FINAL).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    listed.hit().await.unwrap();
    operator.ready().await.unwrap();
    let deletions = proxy.rule(When::delete("codeledgers"), Then::after(|_| {}));
    listed.remove();
    deletions.hit().await.unwrap();
    until("it says so", || {
        operator.log().contains("CodeLedger deleted")
    })
    .await;
    // It is observed after the sweep, as the last step that the end of a sweep starts.
    until("the open one is read", || {
        !world.reads(&phone(5)).is_empty()
    })
    .await;
    assert_eq!(deletions.hits(), 1);
    assert!(ledger_of(&world, &phone(1)).await.is_none());
    for n in 2..=5 {
        assert!(ledger_of(&world, &phone(n)).await.is_some(), "ledger {n}");
    }
    world.finish().await.unwrap();
}
