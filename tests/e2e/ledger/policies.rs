//! An admission policy refuses or alters the operator's writes for a number.
//!
//! A policy that refuses every CodeLedger is in `states::admission`, which runs on the oldest
//! Kubernetes too.

use super::*;

/// Applies a policy on writes of the world's CodeLedgers, and its binding. Both have the name of the
/// namespace.
async fn apply(world: &World, kind: &str, rest: Value) {
    let object = |kind: String, spec: Value| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": world.namespace}, "spec": spec})
    };
    let writes = json!({"apiGroups": ["phonemigration.dev"], "apiVersions": ["*"],
        "resources": ["codeledgers"], "operations": ["CREATE", "UPDATE"]});
    let mut policy = rest;
    policy["matchConstraints"] = json!({"resourceRules": [writes]});
    let namespace = json!({"kubernetes.io/metadata.name": world.ledger_namespace});
    let mut binding = json!({"policyName": world.namespace,
        "matchResources": {"namespaceSelector": {"matchLabels": namespace}}});
    if kind == "ValidatingAdmissionPolicy" {
        binding["validationActions"] = json!(["Deny"]);
    }
    let policy = object(kind.to_owned(), policy);
    let binding = object(format!("{kind}Binding"), binding);
    let manifests = format!("{policy}\n{binding}");
    world.plane.control.apply(&manifests).await.unwrap();
}

async fn take_away(world: &World, kind: &str) {
    let name = &world.namespace;
    world.kubectl(&format!("delete {kind}Binding {name}")).await;
    world.kubectl(&format!("delete {kind} {name}")).await;
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
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    let part = "the API server refuses what the operator writes into it";
    let status = says(&world, "m-1", "LedgerUnreadable", part).await;
    assert_eq!(harness::condition(&status, "Stalled"), "True", "{status}");
    verified(&world, "m-2", &phone(2)).await;
    assert!(world.calls(&phone(1)).is_empty());
    take_away(&world, KIND).await;
    verified(&world, "m-1", &phone(1)).await;
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}

/// Waits until the API server refuses or alters a ledger of this number.
async fn in_force(world: &World, phone: &str) {
    let entry = entry(
        "29348393884",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:32:00Z",
    );
    let probe = ledger("probe", phone, json!([entry]));
    let in_force = async || {
        let stored = world.try_ledger(&probe).await;
        stored.map_or(true, |stored| {
            stored.data["entries"] != probe.data["entries"]
        })
    };
    until_asked("the policy is in force", in_force).await;
}

/// Kubernetes 1.36 has such policies by default, 1.31 does not.
async fn has_mutating_policies(world: &World) -> bool {
    let list = "api-resources --api-group=admissionregistration.k8s.io";
    world
        .kubectl(list)
        .await
        .contains("MutatingAdmissionPolicy")
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
    let status = verified(&world, "m", &phone(1)).await;
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.calls(&phone(1)).len(), 1);
    world.finish().await.unwrap();
}
