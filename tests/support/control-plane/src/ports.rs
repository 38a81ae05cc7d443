//! Loopback ports that stay reserved while a server on them is down.
//!
//! Ports from the kernel (bind to 0) come from the range of outgoing connections: while an
//! apiserver is stopped, any client could be given its port, even connect to itself on it. So they
//! are taken from below that range, and a file lock per port keeps parallel control planes apart. A
//! foreign program can still take one: the caller must be ready to bind another one.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Error;

/// Below 32768 (Linux) and 49152 (elsewhere), where outgoing connections begin.
const RANGE: Range<u16> = 20_000..30_000;

/// A port on 127.0.0.1, reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// The kernel releases the lock when the file is closed, also by SIGKILL.
    _lock: File,
}

impl Port {
    /// Finds a free one, beginning at a random place.
    pub(crate) fn reserve() -> Result<Self, Error> {
        let dir = lock_dir();
        fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?;
        let mut random = [0; 2];
        // Without randomness only the first candidate is a worse one.
        let _ = getrandom::fill(&mut random);
        let size = RANGE.end - RANGE.start;
        let first = u16::from_ne_bytes(random) % size;
        for step in 0..size {
            let number = RANGE.start + (first + step) % size;
            if let Some(port) = Self::try_reserve(&dir, number)? {
                return Ok(port);
            }
        }
        Err(Error::NoPort {
            first: RANGE.start,
            last: RANGE.end - 1,
        })
    }

    fn try_reserve(dir: &Path, number: u16) -> Result<Option<Self>, Error> {
        let path = dir.join(number.to_string());
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open the port's lock file", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(Self {
            number,
            _lock: lock,
        }))
    }
}

/// Per user, because one user cannot open another's lock files.
fn lock_dir() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("phone-migration-operator-ports-{user}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reserved_port_is_nobody_elses_until_it_is_dropped() {
        let dir = lock_dir();
        let port = Port::reserve().unwrap();
        assert!(Port::try_reserve(&dir, port.number).unwrap().is_none());
        let number = port.number;
        drop(port);
        assert!(Port::try_reserve(&dir, number).unwrap().is_some());
    }

    #[test]
    fn a_port_that_a_foreign_program_listens_on_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = foreign.local_addr().unwrap().port();
        assert!(Port::try_reserve(dir.path(), number).unwrap().is_none());
    }
}
