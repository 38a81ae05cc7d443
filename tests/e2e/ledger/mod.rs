//! The operator records submissions per number, in a ledger that only it writes. The cases test the
//! ledger and the codes when views are old, resources come and go, ledgers are lost, and the API
//! server refuses them.
//!
//! Other modules have the rest of `docs/interleavings.md`: `views` has claims and outcomes that
//! meet other writes, `kill_points` dying processes, `cluster_faults` a restored etcd and a CRD
//! that prunes, `lease` elections.
//!
//! The cases judge by reads of the API server, the simulator's ledger and the audit log. Every case
//! ends with `World::finish`.

use harness::cams_simulator::Fault;
use harness::expect::{
    NEVER_FINAL, PATIENCE, SOON_FINAL, assert_verified, reason, reason_in, until,
};
use harness::{Migration, World, message};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::OPERATOR;

mod hold;
mod lists;
mod lost;
mod people;
mod policies;
mod retention;
mod unusable;

/// Phone number `n` of a case.
fn phone(n: usize) -> String {
    format!("86135{n:08}")
}

/// A code of eight digits; no other text looks like it.
fn code(n: usize) -> String {
    format!("7395{n:04}")
}

/// A resource of number 1 whose code, number 2, was refused: the right one is number 1.
async fn refused(world: &World, name: &str) -> Value {
    let number = phone(1);
    world.number(&number, &code(1), &format!("id-{number}"));
    world.code(name, &code(2)).await.unwrap();
    world.make(&Migration::new(name, &number)).await;
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

/// Puts another code into the Secret of a resource, and makes the operator reconcile it.
async fn new_code(world: &World, name: &str, code: &str) {
    world.code(name, code).await.unwrap();
    let token = format!("{:?}", tokio::time::Instant::now());
    world.request(name, &token).await.unwrap();
}

/// Waits for a state and a part of its message.
async fn until_says(world: &World, name: &str, wanted: &str, says: &str) -> Value {
    let there =
        |status: &Value| harness::reason(status) == wanted && message(status).contains(says);
    world.until(name, PATIENCE, there).await.unwrap()
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
