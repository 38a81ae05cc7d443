//! A resource names a Secret of its own namespace only: no account, no endpoint, and no object that
//! the operator may not read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams, PostParams, WatchParams};
use kube::client::Body;
use phone_migration_operator::api::crd::{VerifyCodeSecretRef, crd_yaml};
use phone_migration_operator::cluster::Cluster;

use super::*;

/// Paths of all fields below a schema.
fn fields(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(field, &path, into);
        into.insert(path);
    }
}

/// A new field must not hold a code, credentials, an endpoint or a namespace.
#[test]
fn t06_t09_t10_the_spec_has_these_fields_only() {
    let crd: Value = serde_yaml_ng::from_str(&crd_yaml().unwrap()).unwrap();
    let spec = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap();
    let mut found = BTreeSet::new();
    fields(spec, "spec", &mut found);
    let expected = [
        "spec.custSpaceId",
        "spec.phoneNumber",
        "spec.retryToken",
        "spec.suspend",
        "spec.verifyCodeSecretRef",
        "spec.verifyCodeSecretRef.expiresAtKey",
        "spec.verifyCodeSecretRef.key",
        "spec.verifyCodeSecretRef.name",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn t07_the_operators_token_cannot_list_or_watch_secrets() {
    let world = World::new(OPERATOR, "rights").await.unwrap();
    world.code("m", "46990001").await.unwrap();
    let plane = &world.plane;
    let client = plane.control.client(plane.operator_token()).await.unwrap();
    let forbidden = |error: kube::Error| match error {
        kube::Error::Api(status) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("{other:?}"),
    };
    let own: Api<Secret> = Api::namespaced(client.clone(), &world.namespace);
    let all: Api<Secret> = Api::all(client);
    forbidden(own.list(&ListParams::default()).await.err().unwrap());
    forbidden(all.list(&ListParams::default()).await.err().unwrap());
    let watch = own.watch(&WatchParams::default(), "0").await;
    forbidden(watch.err().expect("a watch was opened"));
    let new = Secret::default();
    let created = own.create(&PostParams::default(), &new).await;
    forbidden(created.err().unwrap());
    let deleted = own.delete("m-code", &Default::default()).await;
    forbidden(deleted.err().unwrap());
    // A read by name is allowed.
    assert!(own.get("m-code").await.is_ok());
}

#[tokio::test]
async fn t08_a_secret_of_another_namespace_is_out_of_reach() {
    let world = World::new(OPERATOR, "tenant-b").await.unwrap();
    let other = format!("{}-of-a", world.namespace);
    world.namespace(&other).await.unwrap();
    let code = json!({"code": "46990002"});
    world.secret_in(&other, "store-code", code).await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    world.number(&phone(1), "46990002", "id-1");
    // The spec has no such field; a strict client gets an error, another one loses the field.
    let foreign = json!({"verifyCodeSecretRef": {"name": "store-code", "namespace": other}});
    let store = Migration::new("store", phone(1)).spec(foreign);
    let object = world.create(&store).await.unwrap();
    assert!(object.data["spec"]["verifyCodeSecretRef"]["namespace"].is_null());
    reason(&world, "store", "SecretNotFound").await;
    assert!(world.sim.ledger().is_empty());
    let user = world.plane.operator_user();
    let there = |e: &AuditEntry| e.user == user && e.namespace == other;
    let asked = world.plane.control.audit_entries(there).unwrap();
    assert_eq!(asked.len(), 0, "it looked into the other namespace");
    world.finish().await.unwrap();
}

/// Names of Secrets that are none.
const BAD_NAMES: [&str; 22] = [
    "",
    "/",
    ".",
    "..",
    "a/",
    "a/b",
    "a b",
    "a\\b",
    "a\n",
    "a;b",
    "a#b",
    "a..b",
    "a%2fb",
    "a?x=1",
    "a?limit=1",
    "%2e%2e",
    ".hidden",
    "../secrets",
    "../../nodes",
    "..%2f..%2f",
    "..%2f..%2fsecrets",
    "kube-system/x",
];

#[tokio::test]
async fn t08_names_that_are_paths_are_refused_at_admission() {
    let world = World::new(OPERATOR, "paths").await.unwrap();
    let api = world.migrations();
    for (n, name) in BAD_NAMES.iter().enumerate() {
        let body = json!({
            "apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
            "metadata": {"name": format!("bad-{n}")},
            "spec": {"custSpaceId": "1", "phoneNumber": phone(20 + n),
                     "verifyCodeSecretRef": {"name": name}},
        });
        let object: DynamicObject = serde_json::from_value(body).unwrap();
        let refused = api.create(&PostParams::default(), &object).await;
        let words = refused
            .err()
            .unwrap_or_else(|| panic!("{name:?} was accepted"))
            .to_string();
        assert_says(&words, &["spec.verifyCodeSecretRef.name"]);
    }
}

fn reference(name: &str) -> VerifyCodeSecretRef {
    VerifyCodeSecretRef {
        name: name.into(),
        key: "code".into(),
        expires_at_key: "expiresAt".into(),
    }
}

/// Even without the schema's check, no name leaves the path of the namespace's Secrets.
#[tokio::test]
async fn t08_a_path_is_never_built_from_an_unchecked_name() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        record.lock().unwrap().push(request.uri().to_string());
        let reply = Response::builder().status(404).body(Body::empty());
        std::future::ready(Ok::<_, std::convert::Infallible>(reply.unwrap()))
    });
    let cluster = Cluster::new(kube::Client::new(service, "tenant-a"), "test".into());
    for name in BAD_NAMES {
        let reference = reference(name);
        let _ = cluster.secret("tenant-a", &reference).await;
        let folder = "/api/v1/namespaces/tenant-a/secrets/";
        for uri in asked.lock().unwrap().drain(..) {
            let rest = uri.strip_prefix(folder);
            let rest = rest.unwrap_or_else(|| panic!("{name:?} asks for {uri}"));
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
            let plain = rest.bytes().all(is_plain);
            assert!(
                plain && !rest.is_empty() && !rest.starts_with('.'),
                "{name:?} asks for {uri}"
            );
        }
    }
    let good = reference("store-42");
    let _ = cluster.secret("tenant-a", &good).await;
    let path = "/api/v1/namespaces/tenant-a/secrets/store-42";
    assert_eq!(*asked.lock().unwrap(), [path]);
}
