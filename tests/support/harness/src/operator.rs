//! One operator process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fault_proxy::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::error::{Error, Result};

/// How long a process gets to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// How to start a process.
pub struct Launch<'a> {
    pub binary: &'a Path,
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The file that it logs to.
    pub log: PathBuf,
}

/// A running operator; killed when dropped.
pub struct Operator {
    child: Child,
    log: PathBuf,
    address: Option<String>,
}

impl Operator {
    /// Starts a process; it need not become ready.
    pub fn spawn(launch: &Launch<'_>) -> Result<Self> {
        let log = File::create(&launch.log).map_err(Error::at("operator log"))?;
        let out = log.try_clone().map_err(Error::at("operator log"))?;
        let child = Command::new(launch.binary)
            .args(&launch.args)
            .env_clear()
            .envs(launch.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::at("operator"))?;
        Ok(Self {
            child,
            log: launch.log.clone(),
            address: None,
        })
    }

    /// Waits until `/readyz` answers 200.
    /// The error has the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::new(
                    format!("operator ended ({status})"),
                    self.log_tail(),
                ));
            }
            if let Ok(reply) = self.http("/readyz").await
                && reply.starts_with("HTTP/1.1 200")
            {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new("operator not ready", self.log_tail()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The process, for signals from within a proxy's rule.
    pub fn process(&self) -> Result<Process> {
        let pid = self
            .pid()
            .ok_or_else(|| Error::new("process", "the operator has ended"))?;
        Process::of(pid).map_err(Error::at("process"))
    }

    /// Its address, once it was ready.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// GET on the probes' and metrics' address; the whole reply.
    pub async fn http(&mut self, path: &str) -> Result<String> {
        if self.address.is_none() {
            self.address = listen_address(&self.log());
        }
        let address = self
            .address
            .clone()
            .ok_or_else(|| Error::new("operator", "not listening yet"))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
        let exchange = async {
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            Ok::<String, std::io::Error>(reply)
        };
        exchange.await.map_err(Error::at(path))
    }

    /// How it ended, if it has ended by itself.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.map_err(Error::at("SIGKILL"))
    }

    /// SIGTERM.
    pub async fn terminate(&self) -> Result<()> {
        self.signal("TERM").await
    }

    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self
            .pid()
            .ok_or_else(|| Error::new("signal", "the operator has ended"))?;
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(pid.to_string())
            .status()
            .await;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::new("kill", status)),
            Err(error) => Err(Error::new("kill", error)),
        }
    }

    /// Waits for the end and returns the exit code (`None` after a signal).
    pub async fn ended(&mut self, within: Duration) -> Result<Option<i32>> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status.code()),
            Ok(Err(error)) => Err(Error::new("operator", error)),
            Err(_) => Err(Error::new("operator still runs", self.log_tail())),
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        self.terminate().await?;
        self.ended(Duration::from_secs(50)).await
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// The highest value so far.
    pub fn most_resident_kib(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, of: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with(of))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

/// The address in the first log line, text or JSON.
fn listen_address(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find(|line| line.contains("Started") && line.contains("address"))?;
    let after = line.split("address").nth(1)?;
    let address: String = after
        .trim_start_matches(['"', ':', '=', ' '])
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
        .collect();
    Some(address.replace("0.0.0.0", "127.0.0.1"))
}
