//! A release on its own control plane, and the operator as the release would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::control_plane::Options;
use harness::{ControlPlane, Launch, Plane};
use tempfile::TempDir;

use super::helm::{Helm, NAME, chart, path};
use super::*;

/// A control plane on which nothing is installed, and Helm.
pub struct Site {
    pub control: Arc<ControlPlane>,
    pub helm: Helm,
    _dir: TempDir,
}

impl Site {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let control = ControlPlane::start(dir.path(), Options::default()).await;
        let control = control.unwrap();
        let helm = Helm::on(&control).await;
        Self {
            control: Arc::new(control),
            helm,
            _dir: dir,
        }
    }

    /// Runs kubectl with these words; returns its output.
    pub async fn kubectl(&self, words: &str) -> String {
        let words = words.split_whitespace();
        self.control.kubectl_ok(words).await.unwrap()
    }

    /// Runs Helm with these words, for the release's namespace.
    pub async fn helm(&self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').chain(["--namespace", NAME]).collect();
        self.helm.ok(&words).await
    }

    /// `helm install` of a chart in a folder, as the README says; the credentials come after it.
    pub async fn install(&self, chart: &Path, values: &[&str]) {
        let mut args = vec!["install", NAME, path(chart)];
        args.extend(["--namespace", NAME, "--create-namespace"]);
        args.extend(values);
        self.helm.ok(&args).await;
        self.kubectl("wait --for=condition=Established --timeout=30s crd --all")
            .await;
        self.credentials().await;
    }

    async fn credentials(&self) {
        let id = format!("--from-literal=ALIBABA_CLOUD_ACCESS_KEY_ID={ACCESS_KEY_ID}");
        let secret = format!("--from-literal=ALIBABA_CLOUD_ACCESS_KEY_SECRET={ACCESS_KEY_SECRET}");
        let create = format!("-n {NAME} create secret generic alibaba-cloud-credentials");
        self.kubectl(&format!("{create} {id} {secret}")).await;
    }

    /// `helm upgrade` to the chart as it is.
    pub async fn upgrade(&self, values: &[&str]) {
        let chart = chart();
        let mut args = vec!["upgrade", NAME, path(&chart), "--namespace", NAME];
        args.extend(values);
        self.helm.ok(&args).await;
    }

    /// A tenant's namespace and a simulated account, for operators of this release.
    pub async fn world(&self, namespace: &str) -> World {
        let plane = Plane::of(Arc::clone(&self.control), NAME, NAME).await;
        let plane = Arc::new(plane.unwrap());
        let world = World::in_namespace(plane, OPERATOR, namespace).await;
        let mut world = world.unwrap();
        world.ledger_namespace = NAME.to_owned();
        world
    }

    /// An object as it is now; `None` if there is none.
    pub async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let get = format!("-n {NAME} get {kind} {name} --ignore-not-found -o json");
        let text = self.kubectl(&get).await;
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
    }

    /// Starts the operator as the release's Deployment has it, and waits until it is ready.
    pub async fn operator(&self, world: &World) -> Operator {
        let launch = self.launch(world).await;
        let mut operator = Operator::spawn(&launch).unwrap();
        operator.ready().await.unwrap();
        operator
    }

    /// Builds the Deployment's container as a kubelet does: its arguments, its environment, its
    /// mounted Secrets. The token is the ServiceAccount's. Only these differ here: the simulator's
    /// address, a free port, the length of codes, and the folder that stands for the container's
    /// root.
    async fn launch<'w>(&self, world: &'w World) -> Launch<'w> {
        let deployment = self.get("deployment", NAME).await.unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let mut launch = self.launch_pod(world, pod).await;
        // By default it is on only inside a cluster.
        launch.args.push("--leader-elect=true".to_owned());
        launch
    }

    /// The same for the container of any pod of the release.
    pub async fn launch_pod<'w>(&self, world: &'w World, pod: &Value) -> Launch<'w> {
        assert_eq!(pod["serviceAccountName"], NAME);
        let root = world.dir().join("root");
        let mounts = self.mount(pod, &root).await;

        let mut launch = world.launch(&[]).unwrap();
        let given = pod["containers"][0]["args"].as_array().unwrap();
        launch.args = given
            .iter()
            .map(|arg| arg.as_str().unwrap().replace("$(POD_NAMESPACE)", NAME))
            .map(|arg| match arg.split_once('=') {
                Some(("--cams-endpoint", _)) => format!("--cams-endpoint={}", world.sim.url()),
                Some(("--listen", _)) => "--listen=127.0.0.1:0".to_owned(),
                // Codes of eight digits do not occur by chance, so the final check searches for
                // them.
                Some(("--code-digits", _)) => "--code-digits=4-8".to_owned(),
                _ => mounts.iter().fold(arg, |arg, (inside, outside)| {
                    arg.replace(inside, path(outside))
                }),
            })
            .collect();
        launch.args.push("--allow-insecure-endpoint".to_owned());
        let kept = ["KUBECONFIG", "RUST_LOG"];
        launch.env.retain(|(name, _)| kept.contains(&name.as_str()));
        for variable in pod["containers"][0]["env"].as_array().unwrap() {
            let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let value = match field {
                Some("metadata.name") => format!("{NAME}-pod"),
                Some("metadata.namespace") => NAME.to_owned(),
                // RUST_LOG stays as verbose as the harness has it: no secret may come out.
                _ => continue,
            };
            let name = variable["name"].as_str().unwrap().to_owned();
            launch.env.push((name, value));
        }
        launch
    }

    /// Writes the mounted Secrets below `root`; returns where each mount is.
    async fn mount(&self, pod: &Value, root: &Path) -> Vec<(String, PathBuf)> {
        let mut mounts = Vec::new();
        for mount in pod["containers"][0]["volumeMounts"].as_array().unwrap() {
            let inside = mount["mountPath"].as_str().unwrap();
            let outside = root.join(inside.trim_start_matches('/'));
            fs::create_dir_all(&outside).unwrap();
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|v| v["name"] == mount["name"]).unwrap();
            let name = volume["secret"]["secretName"].as_str().unwrap();
            let secret = self.get("secret", name).await;
            let secret = secret.unwrap_or_else(|| panic!("the pod would wait for {name}"));
            for (key, value) in secret["data"].as_object().unwrap() {
                let value = STANDARD.decode(value.as_str().unwrap()).unwrap();
                fs::write(outside.join(key), value).unwrap();
            }
            mounts.push((inside.to_owned(), outside));
        }
        mounts
    }
}
