//! Signals for a process, such as the client under test, from within a rule.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::then::Then;

/// A process. Held by a descriptor, so that a signal never reaches another one that was given
/// its id later.
#[derive(Clone, Debug)]
pub struct Process(Arc<OwnedFd>);

impl Process {
    /// The process of that id.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(Arc::new(pidfd_open(pid, PidfdFlags::empty())?)))
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it has ended.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&*self.0, signal)?)
    }

    /// SIGKILL before the request is forwarded; forwarded it is, unless another rule prevents
    /// it.
    pub fn killed_before(&self) -> Then {
        let process = self.clone();
        Then::before(move |_| drop(process.kill()))
    }

    /// SIGKILL when the API server has answered and the process does not know it.
    pub fn killed_after(&self) -> Then {
        let process = self.clone();
        Then::after(move |_| drop(process.kill()))
    }

    /// SIGSTOP before the request is forwarded.
    pub fn stopped_before(&self) -> Then {
        let process = self.clone();
        Then::before(move |_| drop(process.stop()))
    }

    /// SIGSTOP when the API server has answered and the process does not know it.
    pub fn stopped_after(&self) -> Then {
        let process = self.clone();
        Then::after(move |_| drop(process.stop()))
    }
}
