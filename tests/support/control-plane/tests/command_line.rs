//! The binary, and its messages when it has nothing to run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_control-plane");
const SOON: Duration = Duration::from_secs(20);

fn pid(of: &serde_json::Value) -> Pid {
    Pid::from_raw(i32::try_from(of.as_i64().unwrap()).unwrap()).unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(10));
    }
}

struct Up {
    child: Child,
    ready: serde_json::Value,
}

impl Up {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["up", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { child, ready }
    }

    fn pids(&self) -> [Pid; 2] {
        [
            pid(&self.ready["pids"]["etcd"]),
            pid(&self.ready["pids"]["kubeApiserver"]),
        ]
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn assert_both_end(&self) {
        let gone = |pid: &Pid| test_kill_process(*pid).is_err();
        let ended = || self.pids().iter().all(gone);
        until("the end of etcd and kube-apiserver", ended);
    }
}

/// So that a failed assertion leaves nothing behind.
impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.pids() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn up_prints_one_json_line_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path());
    let text = |key: &str| up.ready[key].as_str().unwrap().to_owned();
    let file = |name: &str| dir.path().join(name);
    assert_eq!(Path::new(&text("kubeconfig")), file("kubeconfig"));
    assert_eq!(Path::new(&text("auditLog")), file("audit.log"));
    let shown = Command::new(text("kubectl"))
        .args(["get", "--raw", "/readyz", "--server", &text("url")])
        .env("KUBECONFIG", text("kubeconfig"))
        .env("KUBECACHEDIR", dir.path().join("cache"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&shown.stderr);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "ok", "{error}");

    up.signal(Signal::TERM);
    assert!(up.child.wait().unwrap().success());
    up.assert_both_end();
}

#[test]
fn nothing_outlives_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    up.signal(Signal::KILL);
    up.assert_both_end();
}

#[test]
fn up_ends_with_an_error_when_a_part_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path());
    kill_process(up.pids()[0], Signal::KILL).unwrap();
    assert!(!up.child.wait().unwrap().success());
    up.assert_both_end();
}

/// `assets` with nothing but these variables.
fn assets(variables: &[(&str, &Path)]) -> Output {
    Command::new(BINARY)
        .arg("assets")
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "succeeded: {output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let start = text.find("error: ");
    let start = start.unwrap_or_else(|| panic!("no error: {text}"));
    text[start..].to_owned()
}

#[test]
fn without_go_the_error_says_what_is_missing_and_how_to_supply_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = error_of(&assets(&[
        ("PATH", dir.path()),
        ("XDG_CACHE_HOME", dir.path()),
    ]));
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in [
        "kube-apiserver, etcd and kubectl v1.",
        "no `go` in PATH",
        "Install Go",
        "KUBEBUILDER_ASSETS",
        dir.path().to_str().unwrap(),
    ] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn a_failed_build_is_shown_and_leaves_nothing_that_looks_built() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let output = assets(&[
        ("PATH", Path::new(&path)),
        ("HOME", dir.path()),
        ("GOMODCACHE", &dir.path().join("modules")),
        ("GOPROXY", Path::new("off")),
        ("GOTOOLCHAIN", Path::new("local")),
    ]);
    let error = error_of(&output);
    for part in ["GOPROXY=off", "KUBEBUILDER_ASSETS"] {
        assert!(error.contains(part), "{error}");
    }
    let cache = dir
        .path()
        .join(".cache/phone-migration-operator/control-plane");
    let left: Vec<_> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let is_lock = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".lock");
    assert!(left.iter().all(is_lock), "{left:?}");
}

#[test]
fn kubebuilder_assets_win_if_they_are_complete() {
    let built = control_plane::assets().unwrap();
    let nowhere = Path::new("/nonexistent");
    let found = assets(&[
        ("KUBEBUILDER_ASSETS", built.dir()),
        ("PATH", nowhere),
        ("HOME", nowhere),
    ]);
    let found = String::from_utf8_lossy(&found.stdout);
    assert_eq!(Path::new(found.trim_end()), built.dir());

    let incomplete = tempfile::tempdir().unwrap();
    fs::copy(built.etcd(), incomplete.path().join("etcd")).unwrap();
    let error = error_of(&assets(&[("KUBEBUILDER_ASSETS", incomplete.path())]));
    let missing = "no executable kube-apiserver, kubectl";
    assert!(error.contains(missing), "{error}");
}
