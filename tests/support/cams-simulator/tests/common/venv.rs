//! A virtual environment with the official SDK, made once per machine in the user's cache.
//!
//! The folder's name is a hash of the requirements and of the interpreter. A file lock keeps
//! test binaries that run side by side apart, and a marker, written last, says that the
//! environment is complete: an interrupted installation is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use cams_simulator::encoding::hex;
use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/requirements.txt");
const WAYS: &str = "the SDK test needs python3 (3.10 or newer) with venv and pip, and a package index that pip can reach";

/// The environment's interpreter, or one line that says what is missing.
pub fn python() -> Result<PathBuf, String> {
    let interpreter = output(
        Command::new("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]),
        "python3 does not run",
    )?;
    let requirements = fs::read(REQUIREMENTS).map_err(|e| format!("{REQUIREMENTS}: {e}"))?;
    let mut hash = Sha256::new();
    hash.update(&requirements);
    hash.update(interpreter.as_bytes());
    let name: String = hex(&hash.finalize()).chars().take(16).collect();
    let parent = cache()?.join("phone-migration-operator").join("python");
    let place = parent.join(&name);
    let fault = |error: std::io::Error| format!("{}: {error}", parent.display());
    fs::create_dir_all(&parent).map_err(fault)?;
    let lock = File::create(parent.join(format!("{name}.lock"))).map_err(fault)?;
    lock.lock().map_err(fault)?;
    let marker = place.join("complete");
    if !marker.exists() {
        install(&place)?;
        File::create(&marker).map_err(fault)?;
    }
    Ok(place.join("bin").join("python"))
}

fn install(place: &Path) -> Result<(), String> {
    if place.exists() {
        fs::remove_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    output(
        Command::new("python3").args(["-m", "venv"]).arg(place),
        "python3 -m venv failed",
    )?;
    output(
        Command::new(place.join("bin").join("python"))
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--requirement", REQUIREMENTS]),
        "pip install failed",
    )?;
    Ok(())
}

fn output(command: &mut Command, what: &str) -> Result<String, String> {
    match command.output() {
        Err(error) => Err(format!("{what} ({error}); {WAYS}")),
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = errors.lines().rfind(|line| !line.trim().is_empty());
            Err(format!("{what} ({}); {WAYS}", last.unwrap_or("no message")))
        }
    }
}

fn cache() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (set("XDG_CACHE_HOME"), set("HOME")) {
        (Some(cache), _) => Ok(PathBuf::from(cache)),
        (None, Some(home)) => Ok(PathBuf::from(home).join(".cache")),
        (None, None) => Err("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
    }
}
