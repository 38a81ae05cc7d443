//! Sends signals to a process, such as the client under test, from within a rule.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::then::Then;

/// A process. Held by a descriptor, so that a signal never reaches another one that was given
/// its id later.
#[derive(Clone, Debug)]
pub struct Process {
    descriptor: Arc<OwnedFd>,
    id: u32,
}

/// Longest wait for every thread to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

impl Process {
    /// The process of that id.
    pub fn of(id: u32) -> io::Result<Self> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let descriptor = Arc::new(pidfd_open(pid, PidfdFlags::empty())?);
        Ok(Self { descriptor, id })
    }

    /// SIGKILL.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// SIGSTOP, and waits until every thread is stopped: on a busy machine threads run on for a
    /// while.
    pub fn stop(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while !self.is_stopped()? {
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn is_stopped(&self) -> io::Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id))? {
            // The state comes after the name, which may hold anything.
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            if !state.starts_with(['T', 't']) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// SIGCONT.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&*self.descriptor, signal)?)
    }

    /// SIGSTOP when the API server has answered and the process has not got the answer.
    pub fn stopped_after(&self) -> Then {
        let process = self.clone();
        Then::after(move |_| drop(process.stop()))
    }
}
