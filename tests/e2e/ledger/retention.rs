//! Ledgers outlive the resources of their number by 30 days, but no longer.

use phone_migration_operator::domain::ledger::ledger_name;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A ledger whose only entry was signed so many days ago.
async fn old_ledger(world: &World, n: usize, days: u32, namespace: &str, outcome: Option<&str>) {
    let signed = jiff::Timestamp::now() - DAY * days;
    let at = |time: jiff::Timestamp| time.round(jiff::Unit::Second).unwrap().to_string();
    let ends = at(signed + Duration::from_secs(1920));
    let mut entry = entry("29348393884", &at(signed), &ends);
    entry["migration"]["namespace"] = json!(namespace);
    if let Some(outcome) = outcome {
        entry["outcome"] = json!(outcome);
    }
    let ledger = ledger(&ledger_name(&phone(n)), &phone(n), json!([entry]));
    world.put_ledger(&ledger).await;
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
    let of_four = Migration::new("m", phone(4));
    world.make(&of_four.spec(json!({"suspend": true}))).await;
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
    operator.until_logged("CodeLedger deleted").await;
    // It is observed after the sweep, as the last step that the end of a sweep starts.
    let read = || !world.reads(&phone(5)).is_empty();
    until("the open one is read", read).await;
    assert_eq!(deletions.hits(), 1);
    assert!(ledger_of(&world, &phone(1)).await.is_none());
    for n in 2..=5 {
        assert!(ledger_of(&world, &phone(n)).await.is_some(), "ledger {n}");
    }
    world.finish().await.unwrap();
}
