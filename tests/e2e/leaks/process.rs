//! The process keeps its memory to itself: no core file, and no other process of its user may read
//! it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use harness::FINGERPRINT_KEY;

use super::*;

/// The user "nobody" of most systems.
const NOBODY: u32 = 65534;

/// The user that a process runs as: never root, which may read everything.
fn user() -> Option<u32> {
    let own = fs::metadata("/proc/self").unwrap().uid();
    (own == 0).then_some(NOBODY)
}

fn as_user(command: &mut Command) -> &mut Command {
    match user() {
        Some(user) => command.uid(user).gid(user),
        None => command,
    }
}

/// Ends its process, also when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A kubeconfig of a cluster that does not answer: the operator waits for it.
const NOWHERE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
    users: [{name: u, user: {token: t}}]\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\n";

/// The binary as another user, with core files allowed as far as the system does.
fn start(dir: &Path) -> Running {
    // The build folder may be closed to other users.
    let binary = dir.join("operator");
    fs::copy(OPERATOR, &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let (kubeconfig, key) = (dir.join("kubeconfig"), dir.join("fingerprint-key"));
    fs::write(&kubeconfig, NOWHERE).unwrap();
    fs::write(&key, FINGERPRINT_KEY).unwrap();
    let work = dir.join("work");
    fs::create_dir(&work).unwrap();
    if let Some(user) = user() {
        chown(&kubeconfig, Some(user), Some(user)).unwrap();
        chown(&key, Some(user), Some(user)).unwrap();
        chown(&work, Some(user), Some(user)).unwrap();
    }
    let log = File::create(dir.join("log")).unwrap();
    let mut command = Command::new("/bin/sh");
    as_user(&mut command)
        .args(["-c", "ulimit -c $(ulimit -H -c); exec \"$@\"", "sh"])
        .arg(&binary)
        .args(["--listen", "127.0.0.1:0", "--ledger-namespace", "ledgers"])
        .arg("--fingerprint-key-file")
        .arg(&key)
        .env_clear()
        .env("KUBECONFIG", &kubeconfig)
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
        .current_dir(&work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let mut running = Running(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = fs::read_to_string(dir.join("log")).unwrap();
        if log.contains("Started") {
            return running;
        }
        let ended = running.0.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{ended:?}: {log}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether another process of the operator's user may read a file of it below `/proc`.
fn may_read(path: &str) -> bool {
    let mut command = Command::new("cat");
    let output = as_user(command.arg(path)).output().unwrap();
    output.status.success()
}

#[test]
fn t12_nobody_of_the_same_user_may_look_into_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let proc = format!("/proc/{}", running.0.id());
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:"));
    let line = line.unwrap();
    assert!(
        !line.split_whitespace().any(|uid| uid == "0"),
        "it runs as root: {line}"
    );
    // The kernel gives the `/proc` files of an undumpable process to root.
    for file in ["environ", "mem", "maps"] {
        let owner = fs::metadata(format!("{proc}/{file}")).unwrap().uid();
        assert_eq!(owner, 0, "{file} belongs to the user");
        assert!(!may_read(&format!("{proc}/{file}")), "{file} can be read");
    }
    // A file that every user may read, which proves that the test can read anything at all.
    assert!(may_read(&format!("{proc}/cmdline")));
    assert!(may_read("/proc/self/environ"));
}

#[test]
fn t12_an_abort_leaves_no_core_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path());
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.0.id())).unwrap();
    let mut lines = limits.lines();
    let line = lines.find(|line| line.starts_with("Max core file size"));
    let line = line.unwrap();
    let values: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{line}");
    let kill = Command::new("kill")
        .args(["-ABRT", &running.0.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let status = running.0.wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "{status}");
    let left: Vec<_> = fs::read_dir(dir.path().join("work")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
