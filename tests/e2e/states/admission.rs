//! Requests that the API server refuses, and the largest legal resource.

use std::time::Duration;

use harness::{Migration, World};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::expect::*;

const PHONE: &str = "8613800000601";

/// Creates a resource with these fields in its spec; returns the API server's message if it
/// refuses.
async fn create(world: &World, name: &str, spec: Value) -> Result<DynamicObject, String> {
    let mut full = json!({
        "custSpaceId": "29348393884",
        "phoneNumber": PHONE,
        "verifyCodeSecretRef": {"name": "s"},
    });
    let merge = spec.as_object().unwrap().clone();
    full.as_object_mut().unwrap().extend(merge);
    full.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let body = json!({
        "apiVersion": "phonemigration.dev/v1alpha1",
        "kind": "PhoneMigration",
        "metadata": {"name": name},
        "spec": full,
    });
    let object: DynamicObject = serde_json::from_value(body).unwrap();
    let api = world.migrations();
    api.create(&PostParams::default(), &object)
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn c31_bad_input_is_refused_at_admission_and_the_field_is_named() {
    let world = World::new(OPERATOR, "bad-input").await.unwrap();
    let _operator = world.start(&[]).await;
    let bad: Vec<(Value, &str)> = vec![
        (json!({"phoneNumber": "+8613800001234"}), "spec.phoneNumber"),
        (json!({"phoneNumber": "86138abc1234"}), "spec.phoneNumber"),
        (json!({"phoneNumber": "861"}), "spec.phoneNumber"),
        (json!({"phoneNumber": "8".repeat(40)}), "spec.phoneNumber"),
        (json!({"phoneNumber": "٨٦١٣٨٠٠٠٠١٢٣٤"}), "spec.phoneNumber"),
        (json!({"phoneNumber": "86138😀1234"}), "spec.phoneNumber"),
        (
            json!({"phoneNumber": "008613800001234"}),
            "spec.phoneNumber",
        ),
        (
            json!({"phoneNumber": "8613800001234\n"}),
            "spec.phoneNumber",
        ),
        (json!({"phoneNumber": ""}), "spec.phoneNumber"),
        (json!({"phoneNumber": 8613800001234u64}), "spec.phoneNumber"),
        (json!({"phoneNumber": null}), "spec.phoneNumber"),
        (json!({"custSpaceId": ""}), "spec.custSpaceId"),
        (json!({"custSpaceId": "1".repeat(1024)}), "spec.custSpaceId"),
        (json!({"custSpaceId": "cams-"}), "spec.custSpaceId"),
        (json!({"custSpaceId": "other-1"}), "spec.custSpaceId"),
        (json!({"custSpaceId": "12 34"}), "spec.custSpaceId"),
        (json!({"custSpaceId": null}), "spec.custSpaceId"),
        (
            json!({"verifyCodeSecretRef": null}),
            "spec.verifyCodeSecretRef",
        ),
        (
            json!({"verifyCodeSecretRef": {}}),
            "spec.verifyCodeSecretRef.name",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": ""}}),
            "spec.verifyCodeSecretRef.name",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": "../secrets"}}),
            "spec.verifyCodeSecretRef.name",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": "UPPER"}}),
            "spec.verifyCodeSecretRef.name",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": "s", "key": "a/b"}}),
            "spec.verifyCodeSecretRef.key",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": "s", "key": ""}}),
            "spec.verifyCodeSecretRef.key",
        ),
        (
            json!({"verifyCodeSecretRef": {"name": "s", "expiresAtKey": "ä"}}),
            "expiresAtKey",
        ),
        (json!({"suspend": "yes"}), "spec.suspend"),
        (json!({"retryToken": "x".repeat(129)}), "spec.retryToken"),
        (json!({"retryToken": 5}), "spec.retryToken"),
    ];
    for (n, (spec, field)) in bad.into_iter().enumerate() {
        let refused = create(&world, &format!("bad-{n}"), spec.clone()).await;
        let Err(words) = refused else {
            panic!("{spec} was accepted");
        };
        assert!(words.contains(field), "{field} in {words:?}");
        assert!(words.contains("422") || words.contains("nvalid"), "{words}");
    }
    assert!(world.sim.ledger().is_empty());
    finish(&world).await;
}

#[tokio::test]
async fn unknown_fields_are_dropped_and_strict_clients_are_told() {
    let world = World::new(OPERATOR, "unknown-field").await.unwrap();
    let spec = json!({"verifyCode": "12345678", "endpoint": "http://evil"});
    let object = create(&world, "m", spec).await.unwrap();
    assert!(
        object.data["spec"]["verifyCode"].is_null(),
        "{:?}",
        object.data
    );
    assert!(
        object.data["spec"]["endpoint"].is_null(),
        "{:?}",
        object.data
    );
    let manifest = format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: strict, namespace: {}}}\n\
         spec: {{custSpaceId: '1', phoneNumber: '8613800000602', verifyCode: '1234', \
         verifyCodeSecretRef: {{name: s}}}}\n",
        world.namespace
    );
    let args = ["apply", "-f", "-"];
    let output = world
        .plane
        .control
        .kubectl_with_input(args, &manifest)
        .await
        .unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("unknown field") && words.contains("spec.verifyCode"),
        "{words}"
    );
    finish(&world).await;
}

#[tokio::test]
async fn c32_the_number_and_the_space_are_immutable_in_every_state() {
    let world = World::new(OPERATOR, "immutable").await.unwrap();
    world.migrate("m", PHONE, "40718265").await;
    let changes = [
        (
            json!({"phoneNumber": "8613800000699"}),
            "phoneNumber is immutable",
        ),
        (json!({"custSpaceId": "1"}), "custSpaceId is immutable"),
    ];
    let refused = |when: &'static str| {
        let (world, changes) = (&world, &changes);
        async move {
            for (change, says) in changes {
                let (params, patch) = (
                    PatchParams::default(),
                    Patch::Merge(json!({"spec": change})),
                );
                let result = world.migrations().patch("m", &params, &patch).await;
                let words = result.expect_err(when).to_string();
                assert!(words.contains(says), "{when}: {words}");
            }
        }
    };
    refused("before the operator saw it").await;
    let _operator = world.start(&[]).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    refused("verified").await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn c31_the_largest_legal_resource_is_accepted_and_migrated() {
    let world = World::new(OPERATOR, "largest").await.unwrap();
    let phone = "861380000123456";
    world.number(phone, "40718265", "id-1");
    let (secret, key, expires) = ("s".repeat(253), "k".repeat(253), "e".repeat(253));
    let data = json!({&key: "40718265", &expires: "2099-01-01T00:00:00Z"});
    world.secret(&secret, data).await.unwrap();
    let reference = json!({"name": secret, "key": key, "expiresAtKey": expires});
    let space = format!("cams-{}", "a".repeat(59));
    let spec = json!({
        "custSpaceId": space,
        "phoneNumber": phone,
        "verifyCodeSecretRef": reference,
        "retryToken": "☎".repeat(128),
    });
    let name = "n".repeat(253);
    create(&world, &name, spec).await.unwrap();
    let labels: serde_json::Map<String, Value> = (0..1000)
        .map(|n| (format!("label-{n}"), json!("v".repeat(63))))
        .collect();
    let annotations = json!({"phonemigration.dev/requestedAt": "x".repeat(100_000)});
    let metadata = json!({"labels": labels, "annotations": annotations});
    world
        .patch(&name, json!({"metadata": metadata}))
        .await
        .unwrap();
    let _operator = world.start(&[]).await;
    let status = until(&world, &name, verified("CAMS accepted the code")).await;
    assert_eq!(
        status["lastHandledReconcileAt"].as_str().unwrap().len(),
        128
    );
    finish(&world).await;
}

/// While this policy exists, the API server refuses every CodeLedger of the world.
async fn refuse_ledgers(world: &World) {
    let operations = ["CREATE", "UPDATE"];
    world.refuse_ledgers(&operations, "no ledgers here").await;
    let ledger = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
        "metadata": {"name": "probe"}, "spec": {"phoneNumber": PHONE},
    });
    let ledger: DynamicObject = serde_json::from_value(ledger).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while world.ledger_api().create(&dry_run, &ledger).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "not in force");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Without its ledger a code is not sent: the account is held, and goes on by itself.
#[tokio::test]
async fn a_policy_that_refuses_every_ledger_holds_the_account_until_it_is_gone() {
    let world = World::new(OPERATOR, "no-ledgers").await.unwrap();
    refuse_ledgers(&world).await;
    let _operator = world.start(&[]).await;
    world.migrate("m", PHONE, "40718265").await;
    let says = "cannot write CodeLedgers in its namespace, so it sends nothing";
    until(&world, "m", progress("Queued", says)).await;
    assert!(calls(&world, PHONE).is_empty());
    let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
    let control = &world.plane.control;
    let deleted = control.kubectl_ok(["delete", kinds, &world.namespace]);
    deleted.await.unwrap();
    until(&world, "m", verified("CAMS accepted the code")).await;
    assert_eq!(calls(&world, PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn without_an_operator_a_new_resource_is_not_current() {
    let world = World::new(OPERATOR, "default-status").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let object = serde_json::to_value(world.get("m").await.unwrap()).unwrap();
    assert_eq!(object["status"], json!({"observedGeneration": -1}));
    assert_eq!(kstatus(&object), "InProgress");
    // The schema holds the defaults, so they need no operator and no webhook.
    let spec = &object["spec"];
    assert_eq!(spec["suspend"], false);
    assert_eq!(spec["retryToken"], "");
    assert_eq!(spec["verifyCodeSecretRef"]["key"], "code");
    assert_eq!(spec["verifyCodeSecretRef"]["expiresAtKey"], "expiresAt");
    finish(&world).await;
}

/// The shipped sample, bound to this case's namespace only.
#[tokio::test]
async fn a_policy_says_which_space_a_namespace_may_use() {
    let world = World::new(OPERATOR, "space-policy").await.unwrap();
    let sample = harness::repository().join("deploy/samples/space-policy.yaml");
    let text = std::fs::read_to_string(sample).unwrap();
    let control = &world.plane.control;
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let mut object: Value = serde::Deserialize::deserialize(document).unwrap();
        if object["kind"] == "ValidatingAdmissionPolicyBinding" {
            let name = json!({"kubernetes.io/metadata.name": world.namespace});
            object["spec"]["matchResources"] = json!({"namespaceSelector": {"matchLabels": name}});
        }
        control.apply(&object.to_string()).await.unwrap();
    }
    let spaces = "phonemigration.dev/cust-space-ids=29348393884, cams-own";
    let annotate = ["annotate", "namespace", &world.namespace, spaces];
    control.kubectl_ok(&annotate).await.unwrap();
    // The API server enforces a policy after a moment.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut n = 0;
    let refused = loop {
        n += 1;
        let name = format!("other-{n}");
        let spec = json!({"custSpaceId": "cams-other"});
        match create(&world, &name, spec).await {
            Err(why) => break why,
            Ok(_) => assert!(tokio::time::Instant::now() < deadline, "never refused"),
        }
    };
    assert!(
        refused.contains("may not use custSpaceId cams-other"),
        "{refused}"
    );
    for (name, space) in [("first", "29348393884"), ("second", "cams-own")] {
        create(&world, name, json!({"custSpaceId": space}))
            .await
            .unwrap();
    }
    let none = format!("{}-", spaces.split('=').next().unwrap());
    control
        .kubectl_ok(&["annotate", "namespace", &world.namespace, &none])
        .await
        .unwrap();
    let refused = loop {
        n += 1;
        match create(&world, &format!("late-{n}"), json!({})).await {
            Err(why) => break why,
            Ok(_) => assert!(tokio::time::Instant::now() < deadline, "never refused"),
        }
    };
    assert!(refused.contains("does not name it"), "{refused}");
    world.finish().await.unwrap();
}
