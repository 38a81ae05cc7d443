//! Ledgers that another client wrote or changed: nothing is sent for their numbers, nothing is
//! overwritten, and all other numbers go on.

use phone_migration_operator::domain::ledger::ledger_name;

use super::*;

/// Makes the ledger of number `n`, with these entries.
async fn put(world: &World, n: usize, number: &str, finalizers: &[&str], entries: Value) {
    let mut ledger = ledger(&ledger_name(&phone(n)), number, entries);
    let finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
    ledger.metadata.finalizers = Some(finalizers);
    world.put_ledger(&ledger).await;
}

/// A refused entry that was signed and ends at these times.
fn refused_entry(signed_at: &str, final_at: &str) -> Value {
    let mut entry = entry("1", signed_at, final_at);
    entry["outcome"] = json!("Refused");
    json!([entry])
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_stops_its_number_and_nobody_else() {
    const PAST: &str = "2026-01-01T00:00:00Z";
    let world = World::new(OPERATOR, "unusable").await.unwrap();
    let future = refused_entry("2099-01-01T00:00:00Z", "2099-01-01T00:32:00Z");
    put(&world, 0, &phone(0), &[], future).await;
    let too_long = refused_entry(PAST, "2026-01-03T00:00:00Z");
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
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    for (n, part) in causes.iter().enumerate() {
        let name = format!("m-{n}");
        let status = says(&world, &name, "LedgerUnreadable", part).await;
        assert_eq!(harness::condition(&status, "Stalled"), "True", "{status}");
    }
    verified(&world, "m-4", &phone(4)).await;
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
    verified(&world, "m-3", &phone(3)).await;
    assert_eq!(world.calls(&phone(3)).len(), 1);
    world.finish().await.unwrap();
}
