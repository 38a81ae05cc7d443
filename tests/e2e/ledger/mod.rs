//! The operator records submissions per number, in a ledger that only it writes. The cases test the
//! ledger and the codes when views are old, resources come and go, ledgers are lost, and the API
//! server refuses them.
//!
//! Other modules have the rest of `docs/interleavings.md`: `views` has claims and outcomes that
//! meet other writes, `kill_points` dying processes, `cluster_faults` a restored etcd and a CRD
//! that prunes, `lease` elections.

use harness::cases::*;
use kube::api::{DeleteParams, Patch, PatchParams};

use crate::OPERATOR;

mod hold;
mod lists;
mod lost;
mod people;
mod policies;
mod retention;
mod unusable;

/// A resource of number 1 whose code, number 2, was refused: the right one is number 1.
async fn refused(world: &World, name: &str) -> Value {
    let number = phone(1);
    world.offer(name, &number, &code(2), &code(1)).await;
    let status = reason(world, name, "CodeRejected").await;
    assert_eq!(world.executed(&number), 1);
    status
}

/// Makes the operator reconcile a resource of any namespace.
async fn request_in(world: &World, namespace: &str, name: &str, token: &str) {
    let annotations = json!({"phonemigration.dev/requestedAt": token});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let api = world.migrations_in(namespace);
    let patched = api.patch(name, &PatchParams::default(), &patch).await;
    patched.unwrap();
}

/// An open entry of another client, which was signed and ends at these times.
fn entry(space: &str, signed_at: &str, final_at: &str) -> Value {
    json!({
        "attemptId": "somebody", "fingerprint": "00112233:somebody", "custSpaceId": space,
        "signedAt": signed_at, "finalAt": final_at,
        "migration": {"namespace": "n", "name": "m", "uid": "u"},
    })
}

/// The ledger of a number.
async fn ledger_of(world: &World, phone: &str) -> Option<Value> {
    let ledgers = world.ledgers().await.unwrap().into_iter();
    let mut of_number = ledgers.filter(|ledger| ledger["spec"]["phoneNumber"] == phone);
    of_number.next()
}

/// Deletes the ledger of a number.
async fn delete_ledger(world: &World, phone: &str) {
    let ledger = ledger_of(world, phone).await.expect("a ledger");
    let name = ledger["metadata"]["name"].as_str().unwrap();
    let api = world.ledger_api();
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

/// The outcomes of a number's entries, newest first; an empty one is open.
async fn outcomes(world: &World, phone: &str) -> Vec<String> {
    let ledger = ledger_of(world, phone).await.unwrap_or_default();
    let entries = ledger["entries"].as_array().cloned().unwrap_or_default();
    let outcome = |entry: &Value| entry["outcome"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(outcome).collect()
}
