//! Stops, starts and pauses each of the two parts, and waits for them.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use http::uri::InvalidUri;
use kube::Client;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::access::{POLL, client_of};
use crate::process::Process;
use crate::run::Ports;
use crate::{ControlPlane, Error, flags};

const ETCD: &str = "etcd";
const APISERVER: &str = "kube-apiserver";
/// One readiness request. A paused or starved process never answers.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A process while it is started, shared by `&ControlPlane`.
pub(crate) type Slot = Mutex<Option<Process>>;

impl ControlPlane {
    /// Kills the apiserver as a crash would; nothing if it is stopped already.
    pub fn stop_apiserver(&self) {
        drop(locked(&self.kube_apiserver).take());
    }

    /// Starts the apiserver on the same port and waits until it is ready. etcd
    /// must be running.
    pub async fn start_apiserver(&self) -> Result<(), Error> {
        if locked(&self.etcd).is_none() {
            return Err(Error::WrongState {
                part: ETCD,
                state: "is stopped; start it before the apiserver",
            });
        }
        let Ports {
            apiserver, etcd, ..
        } = &self.ports;
        let extra = &self.options.apiserver_flags;
        let flags =
            flags::kube_apiserver(&self.dir, &self.pki, apiserver.number, etcd.number, extra);
        self.spawn(
            APISERVER,
            &self.kube_apiserver,
            &self.assets.kube_apiserver(),
            &flags,
        )?;
        self.wait_ready().await
    }

    /// Stops the apiserver's execution (SIGSTOP): connections stay open and
    /// nothing is answered.
    pub fn pause_apiserver(&self) -> Result<(), Error> {
        signal(APISERVER, &self.kube_apiserver, Signal::STOP)
    }

    /// Ends a pause (SIGCONT).
    pub fn resume_apiserver(&self) -> Result<(), Error> {
        signal(APISERVER, &self.kube_apiserver, Signal::CONT)
    }

    /// Kills etcd as a crash would; does nothing if it is stopped already. Acknowledged writes are
    /// kept.
    pub fn stop_etcd(&self) {
        drop(locked(&self.etcd).take());
    }

    /// Starts etcd on the same ports and data and waits until it serves. The apiserver reconnects
    /// by itself: [`Self::wait_ready`].
    pub async fn start_etcd(&self) -> Result<(), Error> {
        let Ports {
            etcd, etcd_peer, ..
        } = &self.ports;
        let extra = &self.options.etcd_flags;
        let flags = flags::etcd(&self.dir.join("etcd"), etcd.number, etcd_peer.number, extra);
        self.spawn(ETCD, &self.etcd, &self.assets.etcd(), &flags)?;
        let uri = self.etcd_url().parse().map_err(|error: InvalidUri| {
            Error::kube("ask etcd")(kube::Error::HttpError(error.into()))
        })?;
        let mut config = kube::Config::new(uri);
        config.default_retry = false;
        let client = client_of(config)?;
        self.wait(ETCD, &self.etcd, async || {
            match get(&client, "/health").await? {
                answer if answer.contains(r#""health":"true""#) => Ok(()),
                answer => Err(answer),
            }
        })
        .await
    }

    /// As [`Self::pause_apiserver`], for etcd.
    pub fn pause_etcd(&self) -> Result<(), Error> {
        signal(ETCD, &self.etcd, Signal::STOP)
    }

    /// Ends a pause (SIGCONT).
    pub fn resume_etcd(&self) -> Result<(), Error> {
        signal(ETCD, &self.etcd, Signal::CONT)
    }

    /// Waits until the apiserver reports ready and the namespace `default` exists, for at most
    /// `ready_timeout`.
    pub async fn wait_ready(&self) -> Result<(), Error> {
        let mut config = self.config(&self.pki.admin_token()?).await?;
        config.default_retry = false;
        let client = client_of(config)?;
        self.wait(APISERVER, &self.kube_apiserver, async || {
            get(&client, "/readyz").await?;
            get(&client, "/api/v1/namespaces/default").await.map(drop)
        })
        .await
    }

    fn spawn(
        &self,
        name: &'static str,
        slot: &Slot,
        program: &Path,
        flags: &[String],
    ) -> Result<(), Error> {
        let mut slot = locked(slot);
        if slot.is_some() {
            return Err(Error::WrongState {
                part: name,
                state: "is started already; stop it first",
            });
        }
        *slot = Some(Process::spawn(name, program, flags, &self.dir)?);
        Ok(())
    }

    /// Asks `probe` until it agrees, the process ends or the time is up.
    async fn wait(
        &self,
        name: &'static str,
        slot: &Slot,
        probe: impl AsyncFn() -> Result<(), String>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let last = match timeout(PROBE_TIMEOUT, probe()).await {
                // The process must be alive as well; otherwise a foreign program answered.
                Ok(Ok(())) => return self.check_alive(),
                Ok(Err(answer)) => answer,
                Err(_) => format!("none within {} s", PROBE_TIMEOUT.as_secs()),
            };
            self.check_alive()?;
            let waited = started.elapsed();
            match locked(slot).as_ref() {
                None => {
                    return Err(Error::WrongState {
                        part: name,
                        state: "was stopped while it got ready",
                    });
                }
                Some(process) if waited > self.options.ready_timeout => {
                    return Err(process.not_ready(waited, last));
                }
                Some(_) => {}
            }
            sleep(POLL).await;
        }
    }
}

async fn get(client: &Client, path: &str) -> Result<String, String> {
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    client
        .request_text(request)
        .await
        .map_err(|error| error.to_string())
}

fn signal(name: &'static str, slot: &Slot, signal: Signal) -> Result<(), Error> {
    match locked(slot).as_mut() {
        Some(process) if signal == Signal::STOP => process.stop(),
        Some(process) => process.signal(signal),
        None => Err(Error::WrongState {
            part: name,
            state: "is stopped",
        }),
    }
}

/// A panic of another test while it held the lock leaves a usable slot.
pub(crate) fn locked(slot: &Slot) -> MutexGuard<'_, Option<Process>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
