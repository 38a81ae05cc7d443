//! A child process that never outlives its parent.
//!
//! It runs below the small shell of [`go_build::supervised`], which prints its pid.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use go_build::{last_lines, supervised};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::Error;

/// Lines of the log that go into an error.
const LOG_LINES: usize = 15;
/// How long a SIGKILL may take. Seconds only if the machine is swapping.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A running child. Dropping it kills it and waits for its end.
pub(crate) struct Process {
    name: &'static str,
    pid: Pid,
    shell: Child,
    /// Closing it kills the child.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
    /// Where this run begins in the log, which is appended to.
    log_start: u64,
}

impl Process {
    /// Starts `program` in `dir`, its output appended to `dir/name.log`. Blocks for some
    /// milliseconds. Of the environment, the child gets only PATH and TMPDIR: `ETCD_*`, proxies and
    /// `GODEBUG` would change its behaviour.
    pub(crate) fn spawn(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        dir: &Path,
    ) -> Result<Self, Error> {
        let log = dir.join(format!("{name}.log"));
        let mut command = supervised(&log, program.as_os_str());
        command.args(arguments).current_dir(dir).env_clear();
        for kept in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.stdout(Stdio::piped());
        // Also reports an unwritable directory as this crate's error, not as a line of the shell's.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io("write", &log))?;
        let log_start = fs::metadata(&log).map_err(Error::io("read", &log))?.len();

        let mut shell = command
            .spawn()
            .map_err(Error::io("run", Path::new("/bin/sh")))?;
        let lifeline = shell.stdin.take();
        let mut line = String::new();
        let read = shell
            .stdout
            .take()
            .map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        match (read, pid) {
            (Some(Ok(_)), Some(pid)) => Ok(Self {
                name,
                pid,
                shell,
                lifeline,
                log,
                log_start,
            }),
            _ => {
                drop(lifeline);
                let status = describe(shell.wait());
                let tail = tail(&log, log_start);
                Err(Error::Ended {
                    part: name,
                    status,
                    log,
                    tail,
                })
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// An error that names the status and the end of the log, if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<(), Error> {
        match self.shell.try_wait() {
            Ok(None) => Ok(()),
            ended => Err(Error::Ended {
                part: self.name,
                status: describe(ended.map(Option::unwrap_or_default)),
                log: self.log.clone(),
                tail: tail(&self.log, self.log_start),
            }),
        }
    }

    /// The error for "runs, but does not answer as it should".
    pub(crate) fn not_ready(&self, waited: Duration, last: String) -> Error {
        Error::NotReady {
            part: self.name,
            seconds: waited.as_secs(),
            last,
            log: self.log.clone(),
            tail: tail(&self.log, self.log_start),
        }
    }

    /// Sends `signal` to the child itself. (The shell must never be stopped: it
    /// is what kills the child.)
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        self.check_alive()?;
        // The pid cannot belong to another process: the shell, which is alive, has not collected
        // it.
        kill_process(self.pid, signal).map_err(|_| Error::WrongState {
            part: self.name,
            state: "has just ended",
        })
    }

    /// Stops the child and waits until it is stopped: on a busy machine its threads run on for a
    /// while after the signal was sent.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.signal(Signal::STOP)?;
        let status = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let stopped = || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            text.lines().any(|l| l.starts_with("State:\tT"))
        };
        while !stopped() {
            self.check_alive()?;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.shell.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(self.pid, Signal::KILL);
        let started = Instant::now();
        while matches!(self.shell.try_wait(), Ok(None)) {
            if started.elapsed() > KILL_TIMEOUT {
                if let Ok(group) = i32::try_from(self.shell.id()).map(Pid::from_raw)
                    && let Some(group) = group
                {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = self.shell.wait();
            }
            thread::sleep(Duration::from_millis(1));
        }
        drop(self.lifeline.take());
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status.map(|status| status.code()) {
        // The shell says 128 + n for "killed by signal n".
        Ok(Some(code)) if code > 128 => format!("killed by signal {}", code - 128),
        Ok(Some(code)) => format!("exit code {code}"),
        Ok(None) => "its supervising shell was killed".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn tail(log: &Path, start: u64) -> String {
    last_lines(&tail_bytes(log, start), LOG_LINES)
}

fn tail_bytes(log: &Path, start: u64) -> String {
    const MOST: u64 = 64 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(MOST))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(cannot be read: {error})"),
    }
}
