//! The CRD of CodeLedgers loses a field while the operator runs: the API server would store the
//! operator's writes without it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::api::{Api, PostParams};

use super::*;

const CRD: &str = "codeledgers.phonemigration.dev";

fn crds(world: &World) -> Api<CustomResourceDefinition> {
    Api::all(world.plane.admin.clone())
}

/// The properties of an entry.
fn entry_of(crd: &mut CustomResourceDefinition) -> &mut JSONSchemaProps {
    let schema = crd.spec.versions[0].schema.as_mut().unwrap();
    let schema = schema.open_api_v3_schema.as_mut().unwrap();
    let properties = schema.properties.as_mut().unwrap();
    let entries = properties.get_mut("entries").unwrap();
    match entries.items.as_mut().unwrap() {
        JSONSchemaPropsOrArray::Schema(entry) => entry,
        JSONSchemaPropsOrArray::Schemas(_) => panic!("entries of several types"),
    }
}

/// Replaces the CRD, and waits until a ledger keeps the Secret of its entry, or drops it.
async fn replace(world: &World, crd: &CustomResourceDefinition, keeps: bool) {
    let mut crd = crd.clone();
    let known = crds(world).get(CRD).await.unwrap();
    crd.metadata.resource_version = known.metadata.resource_version;
    let params = PostParams::default();
    crds(world).replace(CRD, &params, &crd).await.unwrap();
    let entry = json!({
        "attemptId": "probe", "fingerprint": "probe:probe", "custSpaceId": "1",
        "signedAt": "2026-01-01T00:00:00Z", "finalAt": "2026-01-01T00:32:00Z",
        "migration": {"namespace": "n", "name": "m", "uid": "u"},
        "secret": {"uid": "u", "resourceVersion": "1"},
    });
    let probe = ledger("probe", "8613800000000", json!([entry]));
    let in_force = async || {
        let stored = world.try_ledger(&probe).await.unwrap();
        stored.data["entries"][0]["secret"].is_object() == keeps
    };
    until_asked("the CRD is in force", in_force).await;
}

#[tokio::test]
async fn a_crd_that_prunes_ledgers_lets_nothing_be_sent_until_it_is_repaired() {
    let apart = apart("pruned").await;
    let world = &apart.world;
    let shipped = crds(world).get(CRD).await.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    let mut older = shipped.clone();
    let entry = entry_of(&mut older);
    entry.properties.as_mut().unwrap().remove("secret").unwrap();
    replace(world, &older, false).await;
    ready(world, 1).await;
    reason(world, &name(1), "LedgerUnreadable").await;
    assert!(calls(world, 1).is_empty());
    replace(world, &shipped, true).await;
    verified(world, 1).await;
    world.finish().await.unwrap();
}
