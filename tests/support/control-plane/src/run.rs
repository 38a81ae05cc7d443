//! The pair as a whole: its start, and the parts of a running one.

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::parts::{Slot, locked};
use crate::pki::{Pki, private_dir, write_private};
use crate::ports::Port;
use crate::process::Process;
use crate::{Assets, Error, assets, audit, flags};

/// How often other ports are tried when a foreign program took one of the chosen ports before the
/// bind.
const PORT_ATTEMPTS: u32 = 5;

/// Options that differ from the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Added after the crate's own flags, so `--max-requests-inflight=5` wins (a flag that takes a
    /// list is added to instead).
    pub apiserver_flags: Vec<String>,
    /// The same for etcd.
    pub etcd_flags: Vec<String>,
    /// How long each part may take to get ready. Generous by default: a busy
    /// machine must not fail tests.
    pub ready_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            apiserver_flags: Vec::new(),
            etcd_flags: Vec::new(),
            ready_timeout: Duration::from_secs(120),
        }
    }
}

/// Process ids; none while a part is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pids {
    pub etcd: Option<u32>,
    pub kube_apiserver: Option<u32>,
}

/// Three ports that stay the same over restarts of the parts.
pub(crate) struct Ports {
    pub(crate) apiserver: Port,
    pub(crate) etcd: Port,
    pub(crate) etcd_peer: Port,
}

impl Ports {
    fn reserve() -> Result<Self, Error> {
        Ok(Self {
            apiserver: Port::reserve()?,
            etcd: Port::reserve()?,
            etcd_peer: Port::reserve()?,
        })
    }
}

/// A running control plane. Dropping it kills both processes, which blocks for
/// some milliseconds; the directory stays.
///
/// Fields are dropped in this order: the apiserver first, the claim on the
/// directory last.
pub struct ControlPlane {
    pub(crate) kube_apiserver: Slot,
    pub(crate) etcd: Slot,
    pub(crate) ports: Ports,
    pub(crate) ca_pem: String,
    pub(crate) pki: Pki,
    pub(crate) dir: PathBuf,
    pub(crate) assets: Assets,
    pub(crate) options: Options,
    pub(crate) audit: Mutex<audit::Log>,
    _claim: File,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver with everything they write in `dir`, which is made if needed,
    /// and waits until the apiserver is ready and the namespace `default` is there. In the
    /// directory of an earlier run it continues with that run's data, keys and tokens, on other
    /// ports.
    pub async fn start(dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let assets = match tokio::task::spawn_blocking(assets).await {
            Ok(assets) => assets?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        // The children run in `dir`, so a relative path would name another file there.
        let dir = std::path::absolute(dir.as_ref()).map_err(Error::io("find", dir.as_ref()))?;
        private_dir(&dir)?;
        let claim = claim(&dir)?;
        let pki = Pki::ensure(&dir.join("pki"))?;
        write_private(&dir.join("audit-policy.yaml"), flags::AUDIT_POLICY)?;
        let mut control_plane = Self {
            kube_apiserver: Slot::default(),
            etcd: Slot::default(),
            ports: Ports::reserve()?,
            ca_pem: pki.ca_pem()?,
            pki,
            dir,
            assets,
            options,
            audit: Mutex::default(),
            _claim: claim,
        };
        let mut attempt = 1;
        while let Err(error) = control_plane.start_both().await {
            if attempt == PORT_ATTEMPTS || !is_port_taken(&error) {
                return Err(error);
            }
            attempt += 1;
            control_plane.stop_apiserver();
            control_plane.stop_etcd();
            control_plane.ports = Ports::reserve()?;
        }
        let token = control_plane.pki.admin_token()?;
        control_plane.write_kubeconfig(&control_plane.admin_kubeconfig_path(), &token)?;
        Ok(control_plane)
    }

    /// One after the other: an apiserver that finds no etcd waits a whole second before it tries
    /// again.
    async fn start_both(&self) -> Result<(), Error> {
        self.start_etcd().await?;
        self.start_apiserver().await
    }

    /// Ids of the processes that were started and not yet stopped.
    pub fn pids(&self) -> Pids {
        let pid = |slot| locked(slot).as_ref().map(Process::pid);
        Pids {
            etcd: pid(&self.etcd),
            kube_apiserver: pid(&self.kube_apiserver),
        }
    }

    /// Whether both processes live, if they should.
    pub fn check_alive(&self) -> Result<(), Error> {
        for slot in [&self.etcd, &self.kube_apiserver] {
            if let Some(process) = locked(slot).as_mut() {
                process.check_alive()?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane")
            .field("url", &self.url())
            .field("dir", &self.dir)
            .field("pids", &self.pids())
            .finish_non_exhaustive()
    }
}

fn is_port_taken(error: &Error) -> bool {
    matches!(error, Error::Ended { tail, .. } if tail.contains("address already in use"))
}

/// The lock that keeps a second control plane out of `dir`.
fn claim(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DirInUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}
