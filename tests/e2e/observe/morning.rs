//! A run of the operator with a little of every kind of event.

use super::*;

pub const GOOD: &str = "8613800002001";
pub const BAD: &str = "8613800002002";
pub const LOST: &str = "8613800002003";
pub const SLOW: &str = "8613800002004";
pub const CODE: &str = "40718265";

/// Verified, refused, throttled and then verified, lost for good, and waiting.
pub async fn prepare(world: &World) {
    world.migrate("good", GOOD, CODE).await;
    world.offer("bad", BAD, "99887766", CODE).await;
    world.next_call_of(LOST, Fault::close(Stage::Received));
    world.migrate("lost", LOST, CODE).await;
    let refusal = Refusal::new(400, "Throttling.User", "Request was denied.");
    world.next_call_of(SLOW, Fault::api(Stage::Counted, refusal));
    world.migrate("slow", SLOW, CODE).await;
    world.make(&Migration::new("late", "8613800002005")).await;
}

/// Flags for this world's own election: tests run in parallel, and must not wait for another test's
/// Lease.
pub async fn elect(world: &World) -> [String; 2] {
    let namespace = &world.namespace;
    let named = json!({"name": "leader-election", "namespace": namespace});
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": named,
        "rules": [{
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "create", "update"],
        }],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": named,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "leader-election"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": world.plane.operator_user()}],
    });
    // Without the first line, kubectl 1.31 takes a brace for the start of JSON.
    let manifests = format!("---\n{role}\n---\n{binding}");
    world.plane.control.apply(&manifests).await.unwrap();
    [
        "--leader-elect=true".to_owned(),
        format!("--lease-namespace={namespace}"),
    ]
}

/// Starts the operator on it and waits until every resource has its end.
pub async fn play(world: &World, extra: &[&str]) -> Operator {
    prepare(world).await;
    let mut args = vec!["--signature-validity", "3s"];
    args.extend(extra);
    let operator = world.start(&args).await;
    settled(world).await;
    operator
}

/// Waits until every resource has its end.
pub async fn settled(world: &World) {
    for (name, wanted) in [
        ("good", "Verified"),
        ("bad", "CodeRejected"),
        ("slow", "Verified"),
        ("late", "SecretNotFound"),
        ("lost", "OutcomeUnknown"),
    ] {
        reason(world, name, wanted).await;
    }
    finished(world, "lost").await;
}

/// The body of a scrape.
pub async fn scrape(operator: &mut Operator) -> String {
    let reply = operator.http("/metrics").await.unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    body.to_owned()
}
