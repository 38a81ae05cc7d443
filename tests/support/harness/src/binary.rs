//! The operator's binary: built by cargo into the folder that this program itself was built into.
//!
//! `cargo demo` and `cargo run -p soak` build their own package only, and a package cannot depend on
//! another one's binary.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::cluster::repository;
use crate::error::{Error, Result};

const PACKAGE: &str = "phone-migration-operator";

/// Builds it, unless it is up to date, with the same profile.
///
/// # Errors
/// When cargo cannot be run or fails; with what it printed.
pub async fn operator_binary() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::at("our own path"))?;
    let place = Place::of(&program)
        .ok_or_else(|| Error::new(program.display(), "not in a target folder of cargo"))?;
    // `cargo run` says which cargo it is.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What `cargo run` says of this package is not for another one: build scripts that watch it
    // (ring's does) would run anew each time.
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| about_this_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let child = command
        .args(["build", "--quiet", "--package", PACKAGE, "--bin", PACKAGE])
        .args(["--profile", &place.profile, "--target-dir"])
        .arg(&place.target)
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(Error::at("cargo"))?;
    let mut group = Group::of(&child);
    let output = child.wait_with_output().await;
    // Its id may be another's from now on.
    group.0 = None;
    let output = output.map_err(Error::at("cargo"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::new(format!("cargo build ({})", output.status), text));
    }
    let binary = program.with_file_name(PACKAGE);
    match binary.exists() {
        true => Ok(binary),
        false => Err(Error::new(binary.display(), "not there after its build")),
    }
}

/// Cargo and the compilers it started: they end with us, if we are to end before they have.
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

fn about_this_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Where cargo put this program.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    target: PathBuf,
    profile: String,
}

impl Place {
    fn of(program: &Path) -> Option<Self> {
        let folder = program.parent()?;
        let profile = match folder.file_name()?.to_str()? {
            // The one profile whose folder has another name.
            "debug" => "dev",
            other => other,
        };
        Some(Self {
            target: folder.parent()?.to_owned(),
            profile: profile.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_told_by_the_folder() {
        let place = |path: &str| Place::of(Path::new(path)).map(|p| (p.target, p.profile));
        let at = |target: &str, profile: &str| Some((target.into(), profile.to_owned()));
        assert_eq!(place("/x/target/debug/demo"), at("/x/target", "dev"));
        assert_eq!(place("/x/target/release/demo"), at("/x/target", "release"));
        assert_eq!(
            place("/x/target/aarch64-unknown-linux-musl/ci/demo"),
            at("/x/target/aarch64-unknown-linux-musl", "ci")
        );
        assert_eq!(place("demo"), None);
    }
}
