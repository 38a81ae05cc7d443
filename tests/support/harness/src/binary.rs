//! The operator's binary and the plugin's: built by cargo into this program's own target folder.

use std::path::PathBuf;
use std::process::Stdio;

use cargo_build::Build;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::cluster::repository;
use crate::error::{Error, Result};

const OPERATOR: &str = "phone-migration-operator";
const PLUGIN: &str = "kubectl-phmig";
/// With the same features as everything else: those of the harness's dependencies.
const PACKAGES: [&str; 3] = ["harness", OPERATOR, PLUGIN];

/// Builds the operator, unless it is up to date, with the same profile.
pub async fn operator_binary() -> Result<PathBuf> {
    binary(OPERATOR).await
}

/// The same for the plugin.
pub async fn plugin_binary() -> Result<PathBuf> {
    binary(PLUGIN).await
}

async fn binary(name: &str) -> Result<PathBuf> {
    let build = Build::of(&PACKAGES, &[OPERATOR, PLUGIN])
        .ok_or_else(|| Error::new("our own path", "not in a target folder of cargo"))?;
    let mut command = Command::new(&build.cargo);
    for name in &build.unset {
        command.env_remove(name);
    }
    let child = command
        .args(&build.arguments)
        .arg("--quiet")
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(Error::at("cargo"))?;
    let mut group = Group::of(&child);
    let output = child.wait_with_output().await;
    // Its id may belong to another process from now on.
    group.0 = None;
    let output = output.map_err(Error::at("cargo"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::new(format!("cargo build ({})", output.status), text));
    }
    let binary = build.folder.join(name);
    match binary.exists() {
        true => Ok(binary),
        false => Err(Error::new(binary.display(), "not there after its build")),
    }
}

/// Cargo and the compilers that it started: dropping this ends them if they still run.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}
