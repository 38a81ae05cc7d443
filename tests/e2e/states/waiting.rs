//! States that wait for a code, and how the operator notices a code.

use super::expect::*;

const PHONE: &str = "8613800000101";
const OTHER_PHONE: &str = "8613800000102";
const CODE: &str = "40718265";
/// Below the 5 s after which the operator polls a missing Secret again.
const AT_ONCE: Duration = Duration::from_secs(4);

/// The call is made without a poll.
async fn called_at_once(world: &World) {
    let called = until("the call", || world.calls(PHONE).len() == 1);
    tokio::time::timeout(AT_ONCE, called).await.unwrap();
}

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world
}

#[tokio::test]
async fn a_missing_secret_is_waited_for_and_wakes_by_annotation_at_once() {
    let world = world("no-secret").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", no_secret()).await;
    world.code("m", CODE).await.unwrap();
    world.request("m", "2026-01-01T00:00:00Z").await.unwrap();
    called_at_once(&world).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["id"], "id-1");
    assert_eq!(status["lastHandledReconcileAt"], "2026-01-01T00:00:00Z");
    finish(&world).await;
}

#[tokio::test]
async fn c25_a_secret_that_arrives_is_found_by_polling() {
    let world = world("polled").await;
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", no_secret()).await;
    world.code("m", CODE).await.unwrap();

    until("the call", || world.calls(PHONE).len() == 1).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

/// As in a namespace where the operator has no RoleBinding.
#[tokio::test]
async fn a_secret_that_may_not_be_read_is_said_and_waited_for() {
    let world = world("forbidden").await;
    world.number(OTHER_PHONE, CODE, "id-2");
    world.code("m", CODE).await.unwrap();
    world.code("refused", "11223344").await.unwrap();
    let (proxy, _operator) = world.proxied(&[]).await;
    let refused = Migration::new("refused", OTHER_PHONE);
    world.make(&refused).await;
    let rejected = code_refused();
    shows(&world, "refused", rejected).await;
    let forbidden = proxy.rule(When::get("secrets"), Then::answer(403));
    world.make(&Migration::new("m", PHONE)).await;
    let says = "an administrator must give its ServiceAccount the right to get secrets here";
    let status = shows(&world, "m", progress("SecretForbidden", says)).await;
    assert_eq!(status["observedGeneration"], 1, "{status}");
    until_events(&world, "m", &["SecretForbidden"]).await;
    // A new code may be there: the status asks the user for none.
    new_code(&world, "refused", CODE).await;
    let status = shows(&world, "refused", progress("SecretForbidden", says)).await;
    assert_eq!(status["history"][0]["outcome"], "Refused", "{status}");
    assert!(world.calls(PHONE).is_empty());
    assert_eq!(world.calls(OTHER_PHONE).len(), 1);
    forbidden.remove();
    // Without a request.
    for name in ["m", "refused"] {
        shows(&world, name, accepted()).await;
    }
    finish(&world).await;
}

#[tokio::test]
async fn a_missing_key_is_waited_for() {
    let world = world("no-key").await;
    let data = json!({"other": CODE});
    world.secret("m-code", data).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let says = "does not have the key named by spec.verifyCodeSecretRef.key";
    shows(&world, "m", progress("KeyNotFound", says)).await;
    assert!(world.calls(PHONE).is_empty());
    new_code(&world, "m", CODE).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

#[tokio::test]
async fn an_expiry_that_is_no_time_stalls_until_the_secret_changes() {
    let world = world("bad-expiry").await;
    let data = json!({"code": CODE, "expiresAt": "tomorrow"});
    world.secret("m-code", data).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let says = "expiresAtKey is not an RFC 3339 time";
    shows(&world, "m", stalled("InvalidCode", says)).await;
    assert!(world.sim.ledger().is_empty());
    let patch = json!({"stringData": {"expiresAt": "2099-01-01T00:00:00+02:00\n"}});
    world.patch_secret("m-code", patch).await.unwrap();
    world.request("m", "now").await.unwrap();
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

#[tokio::test]
async fn an_expired_code_is_never_sent() {
    let world = world("expired").await;
    let data = json!({"code": "11112222", "expiresAt": "2020-01-01T00:00:00Z"});
    world.secret("m-code", data).await.unwrap();
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", stalled("CodeExpired", "request a new code")).await;
    let fresh = json!({"stringData": {"code": CODE, "expiresAt": "2099-01-01T00:00:00Z"}});
    world.patch_secret("m-code", fresh).await.unwrap();
    world.request("m", "now").await.unwrap();
    shows(&world, "m", accepted()).await;
    let sent: Vec<_> = world.calls(PHONE).into_iter().map(|e| e.code).collect();
    assert_eq!(sent, [Some(CODE.to_owned())]);
    finish(&world).await;
}

/// Without the right to watch, polling goes on, and the log names the missing right.
#[tokio::test]
async fn secrets_that_may_not_be_watched_are_polled_and_the_log_says_what_to_grant() {
    let world = world("watch-refused").await;
    let operator = world.start(&["--watch-secrets"]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", no_secret()).await;
    world.code("m", CODE).await.unwrap();
    shows(&world, "m", accepted()).await;
    let log = operator.log();
    assert!(log.contains("Secrets cannot be watched"), "{log}");
    assert!(log.contains("list and watch on Secrets"), "{log}");
    world.allow_secret_watches();
    // The API server refuses the watch, which this check allows.
    world.finish_after_restart().await.unwrap();
}

#[tokio::test]
async fn with_watch_secrets_a_new_secret_wakes_at_once() {
    let world = world("watch-secrets").await;
    world.allow_secret_watches();
    // The rights of the README's extra role, here for this namespace only.
    let rights = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: watch-secrets}}\n\
         rules: [{{apiGroups: [''], resources: [secrets], verbs: [list, watch]}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
         metadata: {{name: watch-secrets, namespace: {0}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: watch-secrets}}\n\
         subjects: [{{kind: ServiceAccount, name: phone-migration-operator, namespace: phone-migration-operator}}]\n",
        world.namespace
    );
    world.plane.control.apply(&rights).await.unwrap();
    let _operator = world.start(&["--watch-secrets"]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", no_secret()).await;
    world.code("m", CODE).await.unwrap();
    called_at_once(&world).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}
