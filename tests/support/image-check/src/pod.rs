//! The work of a kubelet and a container runtime.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use harness::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Error, Launch, Operator, Result, World, repository,
};
use serde_json::Value;
use tokio::process::Command;

/// The program that starts everything.
pub const ENTER: &str = "/usr/bin/unshare";
/// Namespace and ServiceAccount of the shipped manifests.
const NAME: &str = "phone-migration-operator";
const TOKENS: &str = "var/run/secrets/kubernetes.io/serviceaccount";
const CREDENTIALS: &str = "var/run/secrets/alibaba-cloud";
const KEY: &str = "var/run/secrets/fingerprint-key";
/// In its own mount namespace: the folder becomes read-only, then the root.
const CONTAINER: &str = r#"
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
exec unshare --pid --fork --kill-child --root="$root" --setgid="$user" --setuid="$user" -- "$@"
"#;

/// The root: the binary, and the pod's mounted files.
pub async fn fill(world: &World, root: &Path, binary: &Path) -> Result<()> {
    let control = &world.plane.control;
    let token = control
        .service_account_token(NAME, NAME, Duration::from_secs(3600))
        .await
        .map_err(Error::at("token"))?;
    let files: [(&str, &str, &[u8]); 6] = [
        (TOKENS, "token", token.as_bytes()),
        (TOKENS, "ca.crt", control.ca_pem().as_bytes()),
        (TOKENS, "namespace", NAME.as_bytes()),
        (
            CREDENTIALS,
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            ACCESS_KEY_ID.as_bytes(),
        ),
        (
            CREDENTIALS,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            ACCESS_KEY_SECRET.as_bytes(),
        ),
        (KEY, "key", &[7; 32]),
    ];
    for (dir, name, content) in files {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).map_err(Error::at(dir.display()))?;
        fs::write(dir.join(name), content).map_err(Error::at(name))?;
    }
    let inside = root.join(NAME);
    fs::copy(binary, &inside).map_err(Error::at(binary.display()))?;
    // Only this user may enter the temporary folder around it; its content is for the container's
    // user.
    for path in [root, &inside] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::at("mode"))?;
    }
    Ok(())
}

/// The Deployment's container, in that root.
pub fn launch<'w>(world: &'w World, root: &Path) -> Result<Launch<'w>> {
    let text = fs::read_to_string(repository().join("deploy/deployment.yaml"))
        .map_err(Error::at("deployment"))?;
    let deployment: Value = serde_yaml_ng::from_str(&text).map_err(Error::at("deployment"))?;
    let pod = &deployment["spec"]["template"]["spec"];
    let user = &pod["securityContext"]["runAsUser"];
    let given = pod["containers"][0]["args"].as_array();
    let given = given.ok_or_else(|| Error::new("deployment", "no arguments"))?;

    let mut launch = world.launch(&[])?;
    let outside = ["--mount", "--", "/bin/sh", "-ec", CONTAINER, "container"];
    let mut args: Vec<String> = outside.map(str::to_owned).into();
    args.push(root.to_string_lossy().into_owned());
    args.push(user.to_string());
    args.push(format!("/{NAME}"));
    for arg in given.iter().filter_map(Value::as_str) {
        args.push(match arg.split_once('=') {
            Some(("--cams-endpoint", _)) => format!("--cams-endpoint={}", world.sim.url()),
            Some(("--ledger-namespace", _)) => {
                format!("--ledger-namespace={}", world.ledger_namespace)
            }
            Some(("--listen", _)) => "--listen=127.0.0.1:0".to_owned(),
            // As everywhere in the tests.
            Some(("--code-digits", _)) => "--code-digits=4-8".to_owned(),
            _ => arg.to_owned(),
        });
    }
    args.push("--allow-insecure-endpoint".to_owned());
    launch.args = args;

    let url = world.plane.control.url();
    let port = url.rsplit(':').next().unwrap_or_default();
    launch.env = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", port),
        ("POD_NAME", "the-pod"),
        ("POD_NAMESPACE", NAME),
        ("RUST_LOG", "trace"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    Ok(launch)
}

/// The process in the container, as seen from here.
pub fn inside(operator: &Operator) -> Result<u32> {
    let none = || Error::new("container", "no process in it");
    let outside = operator.pid().ok_or_else(none)?;
    let path = format!("/proc/{outside}/task/{outside}/children");
    let children = fs::read_to_string(&path).map_err(Error::at(path))?;
    let first = children.split_whitespace().next().ok_or_else(none)?;
    first.parse().map_err(Error::at("pid"))
}

/// Resident memory of a process.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(Error::at("status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| Error::new("status", "no VmRSS"))
}

/// The kubelet's signal to end the pod.
pub async fn terminate(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .await
        .map_err(Error::at("kill"))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| Error::new("kill", status))
}
