//! The progress of the builds, and their remaining time. PURE.

use std::time::Duration;

use crate::builds::Side;

/// Seconds of processor time that a build from nothing takes. Measured; only their ratio has to be
/// right, because the machine's own pace is taken into account.
const RUST_SECONDS: f64 = 200.0;
const GO_SECONDS: f64 = 400.0;
/// More processors than this do not help: each build ends with one that waits for another.
const MOST_PROCESSORS: usize = 6;
/// The machine's own pace counts from this share on.
const MEANINGFUL: f64 = 0.05;

/// The state of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It checks the existing files.
    Beginning,
    /// Another process holds its lock.
    Waiting,
    /// Crates are still to be downloaded.
    Fetching { left: usize },
    /// So many modules of so many are being or were downloaded.
    Downloading { done: usize, total: usize },
    /// So many crates or packages of so many were compiled.
    Compiling { done: usize, total: usize },
    /// Finished, or there was nothing to do.
    Done,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Build {
    pub side: Side,
    pub state: State,
    /// The share that existed before.
    there: f64,
}

impl Build {
    pub fn new(side: Side) -> Self {
        Self {
            side,
            state: State::Beginning,
            there: 0.0,
        }
    }

    /// The work done so far existed before; no time was spent on it.
    pub fn found(&mut self) {
        self.there = self.share();
    }

    /// The subject and the progress of a build: `Rust: the demo and the operator   3 of 9 crates`.
    pub fn line(&self) -> String {
        let what = match self.side {
            Side::Rust => "Rust: the demo and the operator",
            Side::Go => "Go: kube-apiserver, etcd and kubectl",
        };
        format!("{what:<38}{}", self.far())
    }

    /// `Rust: 3 of 9 crates`.
    pub fn short_line(&self) -> String {
        format!("{:?}: {}", self.side, self.far())
    }

    fn far(&self) -> String {
        let unit = match self.side {
            Side::Rust => "crates",
            Side::Go => "packages",
        };
        match self.state {
            State::Beginning => "beginning".to_owned(),
            State::Waiting => "waiting for another build".to_owned(),
            State::Fetching { left } => format!("downloading, {left} to go"),
            State::Downloading { done, total } => format!("downloading, {done} of {total} modules"),
            State::Compiling { done, total } if total > 0 && done >= total => "linking".to_owned(),
            State::Compiling { done, total } => format!("{done} of {total} {unit}"),
            State::Done => "done".to_owned(),
        }
    }

    fn share(&self) -> f64 {
        match self.state {
            State::Beginning
            | State::Waiting
            | State::Fetching { .. }
            | State::Downloading { .. } => 0.0,
            #[allow(clippy::cast_precision_loss)]
            State::Compiling { done, total } => done as f64 / total.max(1) as f64,
            State::Done => 1.0,
        }
    }

    fn seconds(&self) -> f64 {
        match self.side {
            Side::Rust => RUST_SECONDS,
            Side::Go => GO_SECONDS,
        }
    }
}

/// The usual remaining time with so many processors; by this machine's own pace, `worked` after the
/// builds began, once that is known.
pub fn remaining(builds: &[Build], processors: usize, worked: Duration) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    let processors = processors.clamp(1, MOST_PROCESSORS) as f64;
    let sum =
        |share: fn(&Build) -> f64| -> f64 { builds.iter().map(|b| b.seconds() * share(b)).sum() };
    let left = sum(|build| 1.0 - build.share());
    let done = sum(|build| build.share() - build.there);
    let usual = left / processors;
    let pace = match done / (done + left) > MEANINGFUL {
        true => worked.as_secs_f64() / (done / processors),
        false => 1.0,
    };
    Duration::from_secs_f64(usual * pace.clamp(0.2, 10.0))
}

pub fn words(left: Duration) -> String {
    match left.as_secs() {
        0..45 => "less than a minute".to_owned(),
        seconds => format!("about {} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builds(rust: State, go: State) -> [Build; 2] {
        [(Side::Rust, rust), (Side::Go, go)].map(|(side, state)| Build {
            state,
            ..Build::new(side)
        })
    }

    fn compiling(done: usize) -> State {
        State::Compiling { done, total: 100 }
    }

    #[test]
    fn at_first_the_usual_time_counts_and_then_the_machine_s_own() {
        let none = builds(State::Beginning, State::Downloading { done: 9, total: 9 });
        assert_eq!(remaining(&none, 2, Duration::from_secs(50)).as_secs(), 300);
        assert_eq!(remaining(&none, 4, Duration::ZERO).as_secs(), 150);
        let half = builds(compiling(50), compiling(50));
        assert_eq!(remaining(&half, 2, Duration::from_secs(150)).as_secs(), 150);
        assert_eq!(remaining(&half, 2, Duration::from_secs(300)).as_secs(), 300);
    }

    #[test]
    fn what_is_there_takes_no_time() {
        let mut go_there = builds(State::Beginning, State::Done);
        go_there[1].found();
        assert_eq!(
            remaining(&go_there, 2, Duration::from_secs(1)).as_secs(),
            100
        );
        go_there[0].state = compiling(50);
        assert_eq!(
            remaining(&go_there, 2, Duration::from_secs(60)).as_secs(),
            60
        );
        let all = builds(State::Done, State::Done);
        assert_eq!(remaining(&all, 2, Duration::from_secs(1)), Duration::ZERO);
    }
}
