//! Requests that the API server refuses, and the largest legal resource.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};

use super::expect::*;

const PHONE: &str = "8613800000601";

/// Creates a resource with these fields in its spec; returns the API server's message if it
/// refuses.
async fn create(world: &World, name: &str, spec: Value) -> Result<DynamicObject, String> {
    let mut full = json!({"custSpaceId": "29348393884", "phoneNumber": PHONE,
        "verifyCodeSecretRef": {"name": "s"}});
    let full = full.as_object_mut().unwrap();
    full.extend(spec.as_object().unwrap().clone());
    full.retain(|_, value| !value.is_null());
    let body = json!({"apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
        "metadata": {"name": name}, "spec": full});
    let object: DynamicObject = serde_json::from_value(body).unwrap();
    let params = PostParams::default();
    let created = world.migrations().create(&params, &object).await;
    created.map_err(|error| error.to_string())
}

#[tokio::test]
async fn c31_bad_input_is_refused_at_admission_and_the_field_is_named() {
    let world = World::new(OPERATOR, "bad-input").await.unwrap();
    let _operator = world.start(&[]).await;
    let reference = |reference: Value| json!({"verifyCodeSecretRef": reference});
    let [number, space, secret] =
        ["phoneNumber", "custSpaceId", "verifyCodeSecretRef"].map(|field| format!("spec.{field}"));
    let mut bad: Vec<(Value, String)> = Vec::new();
    for wrong in [
        json!("+8613800001234"),
        json!("86138abc1234"),
        json!("861"),
        json!("8".repeat(40)),
        json!("٨٦١٣٨٠٠٠٠١٢٣٤"),
        json!("86138😀1234"),
        json!("008613800001234"),
        json!("8613800001234\n"),
        json!(""),
        json!(8_613_800_001_234u64),
        json!(null),
    ] {
        bad.push((json!({"phoneNumber": wrong}), number.clone()));
    }
    for wrong in ["", &*"1".repeat(1024), "cams-", "other-1", "12 34"] {
        bad.push((json!({"custSpaceId": wrong}), space.clone()));
    }
    bad.push((json!({"custSpaceId": null}), space));
    for (wrong, part) in [
        (json!(null), ""),
        (json!({}), ".name"),
        (json!({"name": ""}), ".name"),
        (json!({"name": "../secrets"}), ".name"),
        (json!({"name": "UPPER"}), ".name"),
        (json!({"name": "s", "key": "a/b"}), ".key"),
        (json!({"name": "s", "key": ""}), ".key"),
        (json!({"name": "s", "expiresAtKey": "ä"}), ".expiresAtKey"),
    ] {
        bad.push((reference(wrong), format!("{secret}{part}")));
    }
    bad.push((json!({"suspend": "yes"}), "spec.suspend".into()));
    for wrong in [json!("x".repeat(129)), json!(5)] {
        bad.push((json!({"retryToken": wrong}), "spec.retryToken".into()));
    }
    for (n, (spec, field)) in bad.into_iter().enumerate() {
        let refused = create(&world, &format!("bad-{n}"), spec.clone()).await;
        let Err(words) = refused else {
            panic!("{spec} was accepted");
        };
        assert!(words.contains(&field), "{field} in {words:?}");
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
    let spec = &object.data["spec"];
    assert!(spec["verifyCode"].is_null(), "{spec}");
    assert!(spec["endpoint"].is_null(), "{spec}");
    let manifest = format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\n\
         metadata: {{name: strict, namespace: {}}}\n\
         spec: {{custSpaceId: '1', phoneNumber: '8613800000602', verifyCode: '1234', \
         verifyCodeSecretRef: {{name: s}}}}\n",
        world.namespace
    );
    let control = &world.plane.control;
    let applied = control.kubectl_with_input(["apply", "-f", "-"], &manifest);
    let output = applied.await.unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_says(&words, &["unknown field", "spec.verifyCode"]);
    finish(&world).await;
}

#[tokio::test]
async fn c32_the_number_and_the_space_are_immutable_in_every_state() {
    let world = World::new(OPERATOR, "immutable").await.unwrap();
    world.migrate("m", PHONE, "40718265").await;
    let refused = async |when: &str| {
        for (field, value) in [("phoneNumber", "8613800000699"), ("custSpaceId", "1")] {
            let change = Patch::Merge(json!({"spec": {field: value}}));
            let params = PatchParams::default();
            let result = world.migrations().patch("m", &params, &change).await;
            let words = result.expect_err(when).to_string();
            assert_says(&words, &[&format!("{field} is immutable")]);
        }
    };
    refused("before the operator saw it").await;
    let _operator = world.start(&[]).await;
    shows(&world, "m", accepted()).await;
    refused("verified").await;
    assert_eq!(world.calls(PHONE).len(), 1);
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
    let metadata = json!({"metadata": metadata});
    world.patch(&name, metadata).await.unwrap();
    let _operator = world.start(&[]).await;
    let status = shows(&world, &name, accepted()).await;
    let handled = status["lastHandledReconcileAt"].as_str();
    assert_eq!(handled.unwrap().len(), 128);
    finish(&world).await;
}

/// While this policy exists, the API server refuses every CodeLedger of the world.
async fn refuse_ledgers(world: &World) {
    let operations = ["CREATE", "UPDATE"];
    world.refuse_ledgers(&operations, "no ledgers here").await;
    let probe = ledger("probe", PHONE, json!([]));
    let refused = async || world.try_ledger(&probe).await.is_err();
    until_asked("the policy is in force", refused).await;
}

/// Without its ledger a code is not sent: the account is held, and goes on by itself.
#[tokio::test]
async fn a_policy_that_refuses_every_ledger_holds_the_account_until_it_is_gone() {
    let world = World::new(OPERATOR, "no-ledgers").await.unwrap();
    refuse_ledgers(&world).await;
    let _operator = world.start(&[]).await;
    world.migrate("m", PHONE, "40718265").await;
    let says = "cannot write CodeLedgers in its namespace, so it sends nothing";
    shows(&world, "m", progress("Queued", says)).await;
    assert!(world.calls(PHONE).is_empty());
    let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
    world
        .kubectl(&format!("delete {kinds} {}", world.namespace))
        .await;
    shows(&world, "m", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn without_an_operator_a_new_resource_is_not_current() {
    let world = World::new(OPERATOR, "default-status").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let object = world.object("m").await;
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
    let refuses = async |prefix: &str, spec: Value, says: &str| {
        let mut n = 0;
        let refused = async || {
            n += 1;
            let made = create(&world, &format!("{prefix}-{n}"), spec.clone()).await;
            made.is_err_and(|why| why.contains(says))
        };
        until_asked(says, refused).await;
    };
    let other = json!({"custSpaceId": "cams-other"});
    refuses("other", other, "may not use custSpaceId cams-other").await;
    for (name, space) in [("first", "29348393884"), ("second", "cams-own")] {
        let made = create(&world, name, json!({"custSpaceId": space})).await;
        made.unwrap();
    }
    let none = format!("{}-", spaces.split('=').next().unwrap());
    let annotate = ["annotate", "namespace", &world.namespace, &none];
    control.kubectl_ok(annotate).await.unwrap();
    refuses("late", json!({}), "does not name it").await;
    world.finish().await.unwrap();
}
