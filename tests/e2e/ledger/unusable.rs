//! Ledgers that another client wrote or changed: nothing is sent for their numbers, nothing is
//! overwritten, and all other numbers go on.

use kube::api::{DynamicObject, PostParams};
use phone_migration_operator::domain::ledger::ledger_name;

use super::*;

/// Makes the ledger of number `n`, with these entries.
async fn put(world: &World, n: usize, number: &str, finalizers: &[&str], entries: Value) {
    let ledger = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
        "metadata": {"name": ledger_name(&phone(n)), "finalizers": finalizers},
        "spec": {"phoneNumber": number}, "entries": entries,
    });
    let ledger: DynamicObject = serde_json::from_value(ledger).unwrap();
    let params = PostParams::default();
    let created = world.ledger_api().create(&params, &ledger).await;
    created.unwrap();
}

/// A refused entry that was signed and ends at these times.
fn entry(signed_at: &str, final_at: &str) -> Value {
    json!([{
        "attemptId": "somebody", "fingerprint": "00112233:somebody", "custSpaceId": "1",
        "outcome": "Refused", "signedAt": signed_at, "finalAt": final_at,
        "migration": {"namespace": "n", "name": "m", "uid": "u"},
    }])
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_stops_its_number_and_nobody_else() {
    const PAST: &str = "2026-01-01T00:00:00Z";
    let world = World::new(OPERATOR, "unusable").await.unwrap();
    let future = entry("2099-01-01T00:00:00Z", "2099-01-01T00:32:00Z");
    put(&world, 0, &phone(0), &[], future).await;
    let too_long = entry(PAST, "2026-01-03T00:00:00Z");
    put(&world, 1, &phone(1), &[], too_long).await;
    put(&world, 2, &phone(99), &[], json!([])).await;
    put(&world, 3, &phone(3), &["test/held"], json!([])).await;
    let (api, third) = (world.ledger_api(), ledger_name(&phone(3)));
    api.delete(&third, &DeleteParams::default()).await.unwrap();
    let before = world.ledgers().await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    let causes = [
        "an entry is dated in the future",
        "an entry ends too long after it was signed",
        "it names another phone number",
        "it is being deleted",
    ];
    for n in 0..=causes.len() {
        let name = format!("m-{n}");
        let (number, right) = (phone(n), code(n));
        world.migrate(&name, &number, &right).await;
    }
    for (n, says) in causes.iter().enumerate() {
        let name = format!("m-{n}");
        let status = until_says(&world, &name, "LedgerUnreadable", says).await;
        assert_eq!(harness::condition(&status, "Stalled"), "True", "{status}");
    }
    let status = reason(&world, "m-4", "Verified").await;
    assert_verified(&status, &phone(4));
    let mut after = world.ledgers().await.unwrap();
    after.retain(|ledger| ledger["spec"]["phoneNumber"] != phone(4));
    assert_eq!(after, before, "somebody's ledger was overwritten");
    for n in 0..causes.len() {
        assert!(world.calls(&phone(n)).is_empty(), "number {n}");
    }
    // The ledger goes, and its number goes on.
    let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let patched = api.patch(&third, &PatchParams::default(), &freed).await;
    patched.unwrap();
    let status = reason(&world, "m-3", "Verified").await;
    assert_verified(&status, &phone(3));
    assert_eq!(world.calls(&phone(3)).len(), 1);
    world.finish().await.unwrap();
}
