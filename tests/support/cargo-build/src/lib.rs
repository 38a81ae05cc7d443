//! Lets a program that cargo built build other programs of this workspace, into its own target
//! folder and with the same profile.
//!
//! `cargo demo` and `cargo run -p soak` build their own package only, and a package cannot depend
//! on another one's binary. This crate has no dependency, so that the first program of `cargo demo`
//! is there in seconds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// One run of `cargo build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The cargo to run: the one that runs this program, if any.
    pub cargo: OsString,
    pub arguments: Vec<OsString>,
    /// Variables to remove. `cargo run` sets them for this package; build scripts that watch them
    /// (ring's does) would otherwise run again each time.
    pub unset: Vec<OsString>,
    /// The folder for the binaries: this program's own folder.
    pub folder: PathBuf,
}

impl Build {
    /// A build of these binaries of these packages for the running program; `None` if that is not
    /// in a target folder of cargo. All named packages share their dependencies' features.
    pub fn of(packages: &[&str], binaries: &[&str]) -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        let place = Place::of(&program)?;
        let flags = |flag: &str, names: &[&str]| -> Vec<OsString> {
            let pairs = names.iter().flat_map(|name| [flag, name]);
            pairs.map(OsString::from).collect()
        };
        let mut arguments: Vec<OsString> = vec!["build".into()];
        arguments.extend(flags("--package", packages));
        arguments.extend(flags("--bin", binaries));
        arguments.extend(["--profile".into(), place.profile.into()]);
        arguments.extend(["--target-dir".into(), place.target.into()]);
        let variables = std::env::vars_os().map(|(name, _)| name);
        Some(Self {
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            arguments,
            unset: variables
                .filter(|name| is_about_a_package(&name.to_string_lossy()))
                .collect(),
            folder: program.parent()?.to_owned(),
        })
    }
}

fn is_about_a_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// The top of the repository, where cargo has to run.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}

/// Where cargo put a program.
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
