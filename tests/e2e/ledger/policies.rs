//! An admission policy refuses or alters the operator's writes for a number.
//!
//! A policy that refuses every CodeLedger is in `states::admission`, which runs on the oldest
//! Kubernetes too.

use super::*;

/// The binding of a policy of the world's name to the namespace of its ledgers.
fn binding(world: &World, kind: &str) -> Value {
    let mut spec = json!({
        "policyName": world.namespace,
        "matchResources": {"namespaceSelector": {"matchLabels": {
            "kubernetes.io/metadata.name": world.ledger_namespace,
        }}},
    });
    if kind == "ValidatingAdmissionPolicy" {
        spec["validationActions"] = json!(["Deny"]);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": {"name": world.namespace}, "spec": spec,
    })
}

/// A policy on writes of CodeLedgers.
fn policy(world: &World, kind: &str, rest: Value) -> Value {
    let mut spec = json!({
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["phonemigration.dev"], "apiVersions": ["*"],
            "resources": ["codeledgers"], "operations": ["CREATE", "UPDATE"],
        }]},
    });
    let fields = rest.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": world.namespace}, "spec": spec,
    })
}

async fn apply(world: &World, kind: &str, rest: Value) {
    let manifests = format!("{}\n{}", policy(world, kind, rest), binding(world, kind));
    world.plane.control.apply(&manifests).await.unwrap();
}

async fn take_away(world: &World, kind: &str) {
    for kind in [format!("{kind}Binding"), kind.to_owned()] {
        let deleted = world
            .plane
            .control
            .kubectl_ok(["delete", &kind, &world.namespace]);
        deleted.await.unwrap();
    }
}

/// Distinct from a policy that refuses all: a made-up ledger passes.
#[tokio::test]
async fn a_policy_that_refuses_one_ledger_stops_its_number_and_nobody_else() {
    const KIND: &str = "ValidatingAdmissionPolicy";
    let world = World::new(OPERATOR, "one-denied").await.unwrap();
    let other_number = format!("object.spec.phoneNumber != '{}'", phone(1));
    let says_no = json!({"validations": [{"expression": other_number, "message": "not this one"}]});
    apply(&world, KIND, says_no).await;
    in_force(&world, &phone(1)).await;
    let _operator = world.start(NEVER_FINAL).await;
    for n in 1..=2 {
        let name = format!("m-{n}");
        let (number, right) = (phone(n), code(n));
        world.migrate(&name, &number, &right).await;
    }
    let says = "the API server refuses what the operator writes into it";
    let status = until_says(&world, "m-1", "LedgerUnreadable", says).await;
    assert_eq!(harness::condition(&status, "Stalled"), "True", "{status}");
    let status = reason(&world, "m-2", "Verified").await;
    assert_verified(&status, &phone(2));
    assert!(world.calls(&phone(1)).is_empty());
    take_away(&world, KIND).await;
    let status = reason(&world, "m-1", "Verified").await;
    assert_verified(&status, &phone(1));
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}

/// Waits until the API server refuses or alters a ledger of this number.
async fn in_force(world: &World, phone: &str) {
    let ledger = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "CodeLedger",
        "metadata": {"name": "probe", "namespace": world.ledger_namespace},
        "spec": {"phoneNumber": phone},
        "entries": [{
            "attemptId": "probe", "fingerprint": "probe:probe", "custSpaceId": "29348393884",
            "signedAt": "2026-01-01T00:00:00Z", "finalAt": "2026-01-01T00:32:00Z",
            "migration": {"namespace": "n", "name": "m", "uid": "u"},
        }],
    });
    let ledger: kube::api::DynamicObject = serde_json::from_value(ledger).unwrap();
    let dry_run = kube::api::PostParams {
        dry_run: true,
        ..Default::default()
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match world.ledger_api().create(&dry_run, &ledger).await {
            Ok(stored) if stored.data["entries"] == ledger.data["entries"] => {}
            Ok(_) | Err(_) => return,
        }
        assert!(tokio::time::Instant::now() < deadline, "never in force");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Kubernetes 1.36 has such policies by default, 1.31 does not.
async fn has_mutating_policies(world: &World) -> bool {
    let resources = ["api-resources", "--api-group=admissionregistration.k8s.io"];
    let listed = world.plane.control.kubectl_ok(resources).await.unwrap();
    listed.contains("MutatingAdmissionPolicy")
}

/// The stored object differs from the operator's write, so it does not count as a claim: nothing is
/// sent, and the operator releases its leftover in the ledger once the policy is gone.
#[tokio::test]
async fn a_policy_that_alters_ledgers_lets_nothing_be_sent() {
    const KIND: &str = "MutatingAdmissionPolicy";
    let world = World::new(OPERATOR, "mutated").await.unwrap();
    if !has_mutating_policies(&world).await {
        return;
    }
    let changed = r#"[JSONPatch{op: "replace", path: "/entries/0/custSpaceId", value: "1"}]"#;
    let alters = json!({
        "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "has-entries", "expression":
            "has(object.entries) && size(object.entries) > 0"}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": changed}}],
    });
    apply(&world, KIND, alters).await;
    in_force(&world, &phone(1)).await;
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("m", &phone(1), &code(1)).await;
    reason(&world, "m", "LedgerUnreadable").await;
    assert!(world.calls(&phone(1)).is_empty());
    take_away(&world, KIND).await;
    let status = reason(&world, "m", "Verified").await;
    assert_verified(&status, &phone(1));
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}
