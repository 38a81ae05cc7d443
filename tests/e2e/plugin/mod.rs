//! `kubectl phmig` as its users run it: the real binary, with only the rights of the shipped
//! ClusterRole for the code desk. No case here shows a code: each one searches the plugin's output
//! for its codes.

mod code;
mod pipe;
mod prompt;
mod rights;
mod state;
mod terminal;

use std::path::PathBuf;
use std::process::Stdio;

use harness::Figures;
use harness::cases::*;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, PostParams};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::OPERATOR;

/// The plugin under test.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-phmig-under-test");
const ROLE: &str = "phone-migration-operator-code-desk";
const PATIENCE: Duration = Duration::from_secs(240);

/// A user who hands in codes in a world's namespace.
struct Desk {
    kubeconfig: PathBuf,
    namespace: String,
}

/// The output of a run of the plugin.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    /// With the rights of the shipped ClusterRole.
    async fn of(world: &World) -> Self {
        let desk = Self::without_rights(world).await;
        let binding = json!({"metadata": {"name": "desk"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": "desk", "namespace": world.namespace}]});
        let binding: RoleBinding = serde_json::from_value(binding).unwrap();
        let bindings = Api::namespaced(world.plane.admin.clone(), &world.namespace);
        let created = bindings.create(&PostParams::default(), &binding).await;
        created.unwrap();
        let namespace = &world.namespace;
        let user = format!("system:serviceaccount:{namespace}:desk");
        let question = format!("auth can-i update secrets -n {namespace} --as={user}");
        // The authorizer learns of a binding after a moment; `can-i` fails until then.
        let control = &world.plane.control;
        let granted = async || control.kubectl_ok(question.split(' ')).await.is_ok();
        until_asked("the rights of the desk", granted).await;
        desk
    }

    /// A user whom the API server knows, but who has no rights.
    async fn without_rights(world: &World) -> Self {
        let accounts = Api::namespaced(world.plane.admin.clone(), &world.namespace);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some("desk".to_owned());
        let created = accounts.create(&PostParams::default(), &account).await;
        created.unwrap();
        let control = &world.plane.control;
        let hour = Duration::from_secs(3600);
        let token = control.service_account_token(&world.namespace, "desk", hour);
        let kubeconfig = world.dir().join("desk.kubeconfig");
        let written = control.write_kubeconfig(&kubeconfig, &token.await.unwrap());
        written.unwrap();
        Self {
            kubeconfig,
            namespace: world.namespace.clone(),
        }
    }

    /// The arguments with those that name the namespace.
    fn arguments(&self, args: &str) -> Vec<String> {
        let words = args.split_whitespace().chain(["-n", &self.namespace]);
        words.map(str::to_owned).collect()
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        let kubeconfig = self.kubeconfig.to_string_lossy().into_owned();
        [("KUBECONFIG", kubeconfig), ("TERM", "xterm".to_owned())]
    }

    /// Starts it with this input.
    async fn spawn(&self, args: &str, input: &str) -> Child {
        let mut child = Command::new(PLUGIN)
            .args(self.arguments(args))
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // The plugin may end without reading it.
        tokio::spawn(async move {
            let _ = stdin.write_all(input.as_bytes()).await;
        });
        child
    }

    /// Runs it to its end.
    async fn run(&self, args: &str, input: &str) -> Said {
        ended(self.spawn(args, input).await).await
    }
}

/// A world, its desk, and a resource that waits for the code `407182`.
async fn desk(case: &str, name: &str, phone: &str) -> (World, Desk) {
    let world = World::new(OPERATOR, case).await.unwrap();
    let desk = Desk::of(&world).await;
    waiting(&world, name, phone, "407182").await;
    (world, desk)
}

async fn ended(child: Child) -> Said {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("the plugin did not end").unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// No output holds one of these codes.
    #[track_caller]
    fn hides<'a>(&self, codes: impl IntoIterator<Item = &'a str>) -> &Self {
        for code in codes {
            let shown = self.out.contains(code) || self.err.contains(code);
            assert!(!shown, "the code {code} was printed: {self:?}");
        }
        self
    }
}

/// A number that the cloud knows by this code, and its resource without a Secret.
async fn waiting(world: &World, name: &str, phone: &str, code: &str) {
    world.number(phone, code, &format!("id-{phone}"));
    world.make(&Migration::new(name, phone)).await;
}

/// The Secret of a resource.
async fn secret(world: &World, name: &str) -> Option<Secret> {
    let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    secrets.get_opt(&format!("{name}-code")).await.unwrap()
}

/// A value of it, as text.
fn value(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// Whether a resource carries a request of a hand-in.
async fn is_requested(world: &World, name: &str) -> bool {
    let object = world.get(name).await.unwrap();
    let annotations = object.metadata.annotations.unwrap_or_default();
    annotations.contains_key("phonemigration.dev/requestedAt")
}

/// The outcome that `code -o json` printed.
fn outcome(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

/// How many codes the cloud executed.
fn executed(figures: &Figures) -> u64 {
    figures.summary.codes.iter().map(|code| code.executed).sum()
}
