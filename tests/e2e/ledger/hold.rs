//! No ledger can be written: nothing is sent, every resource shows why, and the operator goes on by
//! itself once writes succeed.

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::{Api, PostParams};

use super::*;

const HELD: &str = "cannot write CodeLedgers in its namespace";
const METRIC: &str = "phonemigration_account_hold{account=\"default\",cause=\"ledger\"} 1";

/// A quota on the count of ledgers, with the status that a controller would give it.
async fn allow_ledgers(world: &World, most: u32) {
    let api: Api<ResourceQuota> =
        Api::namespaced(world.plane.admin.clone(), &world.ledger_namespace);
    let hard = json!({"count/codeledgers.phonemigration.dev": most.to_string()});
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": hard}});
    let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
    if api.get_opt("few").await.unwrap().is_none() {
        let params = PostParams::default();
        api.create(&params, &quota).await.unwrap();
    }
    let used = world.ledgers().await.unwrap().len().to_string();
    let used = json!({"count/codeledgers.phonemigration.dev": used});
    for (patch, status) in [
        (json!({"spec": {"hard": hard}}), false),
        (json!({"status": {"hard": hard, "used": used}}), true),
    ] {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = match status {
            true => api.patch_status("few", &params, &patch).await,
            false => api.patch("few", &params, &patch).await,
        };
        patched.unwrap();
    }
}

/// The first ledger uses up the quota. The write of its outcome is an update, which a quota on
/// counts does not stop.
#[tokio::test]
async fn a_quota_on_object_counts_holds_the_account_and_stops_no_outcome() {
    let world = World::new(OPERATOR, "quota").await.unwrap();
    world.expect_refused_ledgers();
    allow_ledgers(&world, 1).await;
    let (proxy, mut operator) = world.proxied(NEVER_FINAL).await;
    let unrecorded = proxy.rule(outcome_of("m-1"), Then::Close);
    world.migrate("m-1", &phone(1), &code(1)).await;
    unrecorded.hit().await.unwrap();
    world.migrate("m-2", &phone(2), &code(2)).await;
    let status = says(&world, "m-2", "Queued", HELD).await;
    assert_eq!(harness::condition(&status, "Stalled"), "False", "{status}");
    operator.until_metric(METRIC).await;
    drop(unrecorded);
    verified(&world, "m-1", &phone(1)).await;
    assert_eq!(outcomes(&world, &phone(1)).await, ["Accepted"]);
    assert!(world.calls(&phone(2)).is_empty());
    allow_ledgers(&world, 5).await;
    verified(&world, "m-2", &phone(2)).await;
    assert_eq!(world.calls(&phone(2)).len(), 1);
    world.finish().await.unwrap();
}

/// The API server creates nothing in a namespace that is being deleted.
#[tokio::test]
async fn while_the_namespace_of_the_ledgers_is_being_deleted_nothing_is_sent() {
    let world = World::new(OPERATOR, "terminating").await.unwrap();
    world.expect_refused_ledgers();
    let _operator = world.start(NEVER_FINAL).await;
    let namespaces: Api<Namespace> = Api::all(world.plane.admin.clone());
    let params = DeleteParams::default();
    let deleted = namespaces.delete(&world.ledger_namespace, &params).await;
    deleted.unwrap();
    world.migrate("m", &phone(1), &code(1)).await;
    says(&world, "m", "Queued", HELD).await;
    assert!(world.calls(&phone(1)).is_empty());
    world.finish().await.unwrap();
}
