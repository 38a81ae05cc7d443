//! What stands around the process: the reader of its log, and its ServiceAccount's token.

use std::process::Stdio;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::*;

/// What a kernel's pipe holds, but for a last line that did not fit.
const ALMOST_FULL: usize = 60_000;

#[tokio::test]
async fn a_full_pipe_on_stderr_stops_neither_calls_nor_the_exit() {
    const NUMBERS: usize = 100;
    let world = World::new(OPERATOR, "full-pipe").await.unwrap();
    let launch = world.launch(NEVER_FINAL).unwrap();
    let mut operator = Command::new(launch.binary)
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for n in 0..NUMBERS {
        world.migrate(&format!("n{n}"), &phone(n), &code(n)).await;
    }
    for n in 0..NUMBERS {
        verified(&world, &format!("n{n}"), &phone(n)).await;
    }
    let pid = operator.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    let exit = tokio::time::timeout(PATIENCE, operator.wait()).await;
    assert_eq!(exit.unwrap().unwrap().code(), Some(0));
    let mut log = Vec::new();
    let mut pipe = operator.stderr.take().unwrap();
    pipe.read_to_end(&mut log).await.unwrap();
    assert!(log.len() > ALMOST_FULL, "{} bytes: never full", log.len());
    world.finish().await.unwrap();
}

/// A token of the operator's ServiceAccount that is worth something as long as the Secret exists.
async fn token_bound_to(world: &World, secret: &str) -> String {
    let user = world.plane.operator_user();
    let mut parts = user.rsplit(':');
    let (name, namespace) = (parts.next().unwrap(), parts.next().unwrap());
    let admin = world.plane.admin.clone();
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), namespace);
    let mut object = Secret::default();
    object.metadata.name = Some(secret.to_owned());
    let created = secrets.create(&PostParams::default(), &object).await;
    created.unwrap();
    let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": secret});
    let request = json!({"spec": {"audiences": [], "boundObjectRef": bound}});
    let request: TokenRequest = serde_json::from_value(request).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, namespace);
    let params = PostParams::default();
    let answer = accounts.create_token_request(name, &params, &request).await;
    answer.unwrap().status.unwrap().token
}

/// kubelet renews the token in the pod's file; kube reads the file again each minute.
#[tokio::test]
async fn a_renewed_service_account_token_is_taken_up_when_the_old_one_is_refused() {
    let world = World::new(OPERATOR, "renewed-token").await.unwrap();
    let launch = world.launch(NEVER_FINAL).unwrap();
    let kubeconfig = launch.env.iter().find(|(name, _)| name == "KUBECONFIG");
    let kubeconfig = kubeconfig.unwrap().1.clone();
    let file = format!("{kubeconfig}.token");
    let old = token_bound_to(&world, "renewed-token-old").await;
    std::fs::write(&file, &old).unwrap();
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let inline = format!("token: {}", world.plane.operator_token());
    assert!(text.contains(&inline));
    let text = text.replace(&inline, &format!("tokenFile: {file}"));
    std::fs::write(&kubeconfig, text).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    operator.ready().await.unwrap();
    world.migrate("before", &phone(1), &code(1)).await;
    reason(&world, "before", "Verified").await;

    let new = token_bound_to(&world, "renewed-token-new").await;
    std::fs::write(&file, new).unwrap();
    let user = world.plane.operator_user();
    let namespace = user.rsplit(':').nth(1).unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), namespace);
    let params = DeleteParams::default();
    secrets.delete("renewed-token-old", &params).await.unwrap();
    until_refused(&world, &old).await;
    world.migrate("after", &phone(2), &code(2)).await;
    let verified = |status: &Value| harness::reason(status) == "Verified";
    let status = world.until("after", 3 * PATIENCE, verified).await.unwrap();
    assert_verified(&status, &phone(2));
    let calls = |n| world.calls(&phone(n)).len();
    assert_eq!((calls(1), calls(2)), (1, 1));
    world.finish().await.unwrap();
}

/// The API server remembers for some seconds that a token was good.
async fn until_refused(world: &World, token: &str) {
    let client = world.plane.control.client(token).await.unwrap();
    let refused = async || {
        let version = client.apiserver_version().await;
        matches!(version, Err(kube::Error::Api(status)) if status.code == 401)
    };
    until_asked("the old token is refused", refused).await;
}
