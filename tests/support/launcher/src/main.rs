//! `cargo demo`, first part: builds the demo's programs with cargo and Go in parallel, shows the
//! progress, and becomes the demo.
//!
//! The demo itself cannot do this: it has to be built too, and that takes most of the time. The end
//! of this program (Ctrl-C, a closed terminal, a kill) ends both builds.

mod builds;
mod estimate;
mod screen;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::builds::{News, Side};
use crate::estimate::{Build, State};
use crate::screen::Screen;

const USAGE: &str = "\
Plays a morning of phone-number migrations: a real Kubernetes API server, the operator as it is
shipped, and a simulated Alibaba Cloud CAMS whose ledger is the judge. Fails if any code was executed
twice, any outcome was lost, the quota was exceeded, or anything did not settle in time.

Needs a C compiler and Go. kube-apiserver, etcd and kubectl are those in the folder that
KUBEBUILDER_ASSETS names, else they are built once into the user's cache directory.

Usage: cargo demo [--keep | --record FILE]

  --keep         Leave everything running after the play, until Ctrl-C, and say how to look around
  --record FILE  Draw what the play shows into FILE, as an animated SVG
  --help         Print this
";

/// Builds that turn out to be up to date within this time are not shown.
const SOON: Duration = Duration::from_secs(2);
/// How often the display is updated.
const POLL: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    // `cargo demo --keep` and `cargo demo -- --keep`.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--");
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["--keep"] | ["--record", _] => {}
        ["--help" | "-h"] => {
            let _ = std::io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        _ => {
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    }
    let error = match build() {
        // Returns only if it fails.
        Ok(demo) => Command::new(demo).args(arguments).exec().to_string(),
        Err(error) => error,
    };
    let _ = writeln!(std::io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

/// Builds everything; returns the path of the demo.
fn build() -> Result<PathBuf, String> {
    let (sender, news) = channel();
    let demo = builds::start(&sender)?;
    drop(sender);
    let mut screen = Screen::new();
    let watched = watch(&news, &mut screen);
    screen.finish();
    watched.map(|()| demo)
}

/// Shows the progress of the builds, until both are done or one has failed.
fn watch(news: &Receiver<News>, screen: &mut Screen) -> Result<(), String> {
    let started = Instant::now();
    let mut builds = [Build::new(Side::Rust), Build::new(Side::Go)];
    loop {
        let told = match news.recv_timeout(POLL) {
            Ok(told) => Some(told),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err("the builds have ended".to_owned()),
        };
        for News { side, what } in told.into_iter().chain(news.try_iter()) {
            let build = builds.iter_mut().find(|build| build.side == side);
            if let Some(build) = build {
                build.state = what?;
            }
        }
        if builds.iter().all(|build| build.state == State::Done) {
            return Ok(());
        }
        let worked = started.elapsed();
        if worked >= SOON {
            if !screen.has_begun() {
                builds.iter_mut().for_each(Build::found);
            }
            screen.show(&builds, worked);
        }
    }
}
