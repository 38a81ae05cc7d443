//! The two builds, each in a thread that reports its progress.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use go_build::{Step, kubernetes, last_lines, supervised};

use crate::estimate::State;

/// The side of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The demo, the operator and the plugin.
    Rust,
    /// kube-apiserver, etcd and kubectl.
    Go,
}

/// The progress of one build, or why it failed.
pub struct News {
    pub side: Side,
    pub what: Result<State, String>,
}

const DEMO: &str = "demo";
const OPERATOR: &str = "phone-migration-operator";
const PLUGIN: &str = "kubectl-phmig";
/// Lines of cargo's output that go into the error.
const OUTPUT_LINES: usize = 40;
/// The end of cargo's output that is searched for its progress.
const TAIL: u64 = 4096;
const POLL: Duration = Duration::from_millis(200);

/// Starts both; returns where the demo will be.
pub fn start(news: &Sender<News>) -> Result<PathBuf, String> {
    // The harness too, because it asks cargo for the operator again when the demo runs.
    let packages = [DEMO, "harness", OPERATOR, PLUGIN];
    let build = cargo_build::Build::of(&packages, &[DEMO, OPERATOR, PLUGIN])
        .ok_or("this program is not in a target folder of cargo")?;
    let demo = build.folder.join(DEMO);
    let (rust, go) = (news.clone(), news.clone());
    thread::spawn(move || {
        let done = cargo(&build, &|state| tell(&rust, Side::Rust, Ok(state)));
        tell(&rust, Side::Rust, done.map(|()| State::Done));
    });
    thread::spawn(move || {
        let done = kubernetes::assets_and_tell(&|step| {
            if let Some(state) = state_of(step) {
                tell(&go, Side::Go, Ok(state));
            }
        });
        let done = done.map(|_| State::Done);
        tell(&go, Side::Go, done.map_err(|error| error.to_string()));
    });
    Ok(demo)
}

/// The receiver is gone if the other build has failed.
fn tell(news: &Sender<News>, side: Side, what: Result<State, String>) {
    let _ = news.send(News { side, what });
}

fn state_of(step: Step<'_>) -> Option<State> {
    match step {
        Step::Waiting(_) => Some(State::Waiting),
        Step::Downloaded { done, total } => Some(State::Downloading { done, total }),
        Step::Compiled { done, total } => Some(State::Compiling { done, total }),
        Step::Begun(_) | Step::Built(_) => None,
    }
}

/// Runs cargo to its end. Its output goes into a file, where its progress is read.
fn cargo(build: &cargo_build::Build, tell: &dyn Fn(State)) -> Result<(), String> {
    let log = build.folder.join("launcher.log");
    let told = |error: std::io::Error| format!("cannot read {}: {error}", log.display());
    fs::write(&log, "").map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let mut command = supervised(&log, &build.cargo);
    for name in &build.unset {
        command.env_remove(name);
    }
    command
        .args(&build.arguments)
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "80")
        .current_dir(cargo_build::repository())
        .stdout(Stdio::null());
    let mut shell = command
        .spawn()
        .map_err(|error| format!("/bin/sh: {error}"))?;
    // Taken because `wait` would close it, and so end the build.
    let lifeline = shell.stdin.take();
    let status = loop {
        let ended = shell.try_wait().map_err(|error| error.to_string())?;
        if let Some(state) = progress(&tail(&log).map_err(told)?) {
            tell(state);
        }
        match ended {
            Some(status) => break status,
            None => thread::sleep(POLL),
        }
    };
    drop(lifeline);
    if status.success() {
        return Ok(());
    }
    let bytes = fs::read(&log).map_err(told)?;
    let text = last_lines(
        &without_progress(&String::from_utf8_lossy(&bytes)),
        OUTPUT_LINES,
    );
    Err(format!("cargo build failed ({status}):\n{text}"))
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last progress in cargo's output. If a later cargo words it differently, no progress is
/// shown.
fn progress(text: &str) -> Option<State> {
    let parts = text.rsplit(['\n', '\r']).map(str::trim);
    parts.into_iter().find_map(|part| {
        if part.starts_with("Blocking waiting for file lock") {
            return Some(State::Waiting);
        }
        if let Some(rest) = part.strip_prefix("Downloading ") {
            // It counts down, from a number that cargo is still determining.
            let left = rest.split(' ').next()?.parse().ok()?;
            return Some(State::Fetching { left });
        }
        let (_, rest) = part.strip_prefix("Building [")?.split_once("] ")?;
        let (done, total) = rest.split_once(':')?.0.split_once('/')?;
        let (done, total) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
        Some(State::Compiling { done, total })
    })
}

/// Leaves out lines that were meant to be overwritten.
fn without_progress(text: &str) -> String {
    let lines = text.lines().map(|line| line.rsplit('\r').next());
    let lines: Vec<&str> = lines.flatten().filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = " Downloading 23 crates, remaining bytes: 4.9MiB         \r\
        \x20 Downloaded thiserror-impl v2.0.21\n\
        \x20  Compiling libc v0.2.191\n\
        \x20   Building [====>                       ] 7/36: hybrid-array, libc(build.rs)\r\
        \x20   Building [=====>                      ] 8/36: libc(build.rs), quote       \r";

    #[test]
    fn the_last_word_of_cargo_counts() {
        assert_eq!(progress(""), None);
        let compiling = State::Compiling { done: 8, total: 36 };
        assert_eq!(progress(OUTPUT), Some(compiling));
        let later = format!("{OUTPUT}   Compiling quote v1.0.47\n    Buil");
        assert_eq!(progress(&later), Some(compiling));
        let earlier = OUTPUT.lines().next();
        assert_eq!(
            earlier.and_then(progress),
            Some(State::Fetching { left: 23 })
        );
        let blocked = "    Blocking waiting for file lock on build directory\n";
        assert_eq!(progress(blocked), Some(State::Waiting));
    }

    #[test]
    fn an_error_is_shown_without_progress() {
        let text = format!("{OUTPUT}error: linking failed\n  note: no cc\n");
        let shown = without_progress(&text);
        assert!(!shown.contains("Building"), "{shown}");
        assert!(shown.ends_with("error: linking failed\n  note: no cc"));
    }
}
