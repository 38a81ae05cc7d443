//! Resources that violate the operator's types, stored under a CRD that allows anything.

use harness::requests_of;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::api::{Api, PostParams};

use super::*;

const CRD: &str = "phonemigrations.phonemigration.dev";

/// From now on anything can be stored.
async fn loosen(world: &World) {
    let crds: Api<CustomResourceDefinition> = Api::all(world.plane.admin.clone());
    let mut crd = crds.get(CRD).await.unwrap();
    for version in &mut crd.spec.versions {
        version.selectable_fields = None;
        let schema = version.schema.as_mut().unwrap();
        schema.open_api_v3_schema = Some(JSONSchemaProps {
            type_: Some("object".into()),
            x_kubernetes_preserve_unknown_fields: Some(true),
            ..JSONSchemaProps::default()
        });
    }
    let params = PostParams::default();
    crds.replace(CRD, &params, &crd).await.unwrap();
}

/// Retries until the API server uses the new CRD.
async fn store(world: &World, name: &str, spec: Value) {
    let deadline = Instant::now() + super::PATIENCE;
    let migration = Migration::new(name, phone(90)).spec(spec);
    while let Err(why) = world.create(&migration).await {
        assert!(Instant::now() < deadline, "{why}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn resources_that_cannot_be_parsed_are_left_alone_and_the_rest_goes_on() {
    let apart = apart("strange").await;
    let world = &apart.world;
    world.next_call_of(&phone(2), Fault::gate(Stage::Executed));
    let mut operator = world.start(NEVER_FINAL).await;
    waiting(world, 0).await;
    waiting(world, 1).await;
    ready(world, 2).await;
    let under_way = held(world, 2).await;
    loosen(world).await;
    // From the start: a number in place of a text, a missing part, a text in place of a switch.
    store(world, "bad-number", json!({"phoneNumber": 5})).await;
    store(world, "bad-secret", json!({"verifyCodeSecretRef": null})).await;
    store(world, "bad-switch", json!({"suspend": "yes"})).await;
    // Later: a status of another version, and a spec that breaks while the call is in flight.
    let other = json!({"attempt": "claimed", "history": 7});
    world.patch_status(&name(1), other).await.unwrap();
    world.edit(&name(2), json!({"suspend": "yes"})).await;
    // And one with unknown fields, which can be parsed.
    let beyond = Migration::new(name(3), phone(3)).spec(json!({"later": {"x": [1]}}));
    world.number(&phone(3), &code(3), &format!("id-{}", phone(3)));
    world.code(&name(3), &code(3)).await.unwrap();
    world.make(&beyond).await;
    verified(world, 3).await;
    ready(world, 4).await;
    verified(world, 4).await;
    for bad in ["bad-number", "bad-secret", "bad-switch"] {
        let requests = world.requests().unwrap();
        assert_eq!(requests_of(&requests, bad).len(), 0, "requests about {bad}");
        assert!(world.status(bad).await["reason"].is_null(), "{bad}");
    }
    assert!(operator.log().contains("Resource cannot be parsed"));
    assert_alive(&mut operator).await;
    // Its call is answered, but the outcome cannot be recorded: the operator retries, and not in a
    // hot loop.
    assert!(world.sim.release(under_way.id, Release::Continue));
    let before = requests_of(&world.requests().unwrap(), &name(2)).len();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let tried = requests_of(&world.requests().unwrap(), &name(2)).len() - before;
    println!("{tried} requests in 10 s about an outcome that cannot be recorded");
    assert!((1..=15).contains(&tried), "{tried}");
    // Repaired: everything goes on, and nothing was submitted twice.
    world.edit(&name(2), json!({"suspend": false})).await;
    let status = verified(world, 2).await;
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    let none = json!({"attempt": null, "history": null});
    world.patch_status(&name(1), none).await.unwrap();
    for n in 0..2 {
        super::bring_code(world, n).await;
        verified(world, n).await;
    }
    let total: usize = (0..5).map(|n| calls(world, n).len()).sum();
    assert_eq!((total, world.sim.summary().max_executed_per_code), (5, 1));
    world.finish().await.unwrap();
}
