//! Go programs that the tests need, built once from a pinned Go module into the user's cache
//! directory (`$XDG_CACHE_HOME`, else `~/.cache`, then `phone-migration-operator`).
//!
//! The cache folder is named after the version and a hash of everything that determines the build,
//! so an older build never serves an edited Go module, and two checkouts do not replace each
//! other's builds.

mod build;
mod error;
pub mod kubernetes;
mod once;
mod supervise;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use sha2::{Digest, Sha256};

pub use build::last_lines;
pub use error::Error;
pub use once::make_once;
use once::{make_once_or_wait, say};
pub use supervise::supervised;

/// Programs that one Go module makes.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// The folder of the Go module.
    pub module: &'a Path,
    /// Folder below the cache directory.
    pub cache: &'a str,
    /// For people, and the first half of the folder's name: `v1.2.3`.
    pub version: &'a str,
    /// The packages for `go build`.
    pub packages: &'a [&'a str],
    /// The resulting executables.
    pub programs: &'a [&'a str],
    /// Files of the module that determine the build, apart from the flags and tags.
    pub sources: &'a [&'a str],
    /// For `-ldflags`.
    pub linker_flags: &'a str,
    /// For `-tags`, or nothing.
    pub tags: &'a str,
    /// How long a build takes, for a waiting user: `about 4 min on two cores`.
    pub takes: &'a str,
    /// Another way to get them, or nothing: `, or set X to a folder that holds them`.
    pub otherwise: &'a str,
}

/// The progress of a build, for a waiting user. There are no steps if the programs exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Another process builds them, and holds this lock.
    Waiting(&'a Path),
    /// They do not exist, and are built into this folder.
    Begun(&'a Path),
    /// So many modules are being or were downloaded, of so many at most. Modules that the machine
    /// had before do not count.
    Downloaded { done: usize, total: usize },
    /// So many packages of so many. Packages that the machine had before do not count as done.
    Compiled { done: usize, total: usize },
    /// They are built; the time that it took.
    Built(Duration),
}

impl Programs<'_> {
    /// Finds the programs, or builds them: minutes the first time, nothing after. Blocks; parallel
    /// processes wait for the one that builds. Returns their folder. Reports slow steps on standard
    /// error.
    pub fn ensure(&self) -> Result<PathBuf, Error> {
        self.ensure_and_tell(&|step| match step {
            Step::Waiting(lock) => once::say_waiting(lock),
            Step::Begun(dir) => say(&format!(
                "Building {} with Go into {}; once, {}",
                self.title(),
                dir.display(),
                self.takes
            )),
            Step::Built(took) => say(&format!("Built in {} s", took.as_secs())),
            Step::Downloaded { .. } | Step::Compiled { .. } => {}
        })
    }

    /// The same, and reports the progress to `tell`.
    pub fn ensure_and_tell(&self, tell: &dyn Fn(Step<'_>)) -> Result<PathBuf, Error> {
        let dir = self.dir()?;
        make_once_or_wait(
            &dir,
            |dir| missing_in(dir, self.programs).is_none(),
            |lock| tell(Step::Waiting(lock)),
            |to| build::build(self, to, &dir, tell),
        )?;
        Ok(dir)
    }

    /// "a, b and c v1.2.3".
    fn title(&self) -> String {
        let names = match self.programs {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            names => names.join(", "),
        };
        format!("{names} {}", self.version)
    }

    fn dir(&self) -> Result<PathBuf, Error> {
        Ok(self.cache_dir()?.join(self.cache_name()?))
    }

    fn cache_dir(&self) -> Result<PathBuf, Error> {
        // The XDG specification says that a relative path is ignored.
        let base = match set("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
            Some(cache) => cache,
            None => {
                let otherwise = || Error::NoCacheDir {
                    otherwise: self.otherwise.to_owned(),
                };
                set("HOME").ok_or_else(otherwise)?.join(".cache")
            }
        };
        Ok(base.join("phone-migration-operator").join(self.cache))
    }

    fn cache_name(&self) -> Result<String, Error> {
        let mut hash = Sha256::new();
        for argument in build::arguments(self.linker_flags, self.tags) {
            hash.update([argument.as_bytes(), &[0]].concat());
        }
        hash.update(env::consts::OS);
        hash.update(env::consts::ARCH);
        for name in self.sources {
            let path = self.module.join(name);
            let text = fs::read(&path).map_err(Error::io("read", &path))?;
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        let hash: String = hash.finalize()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(format!("{}-{hash}", self.version))
    }
}

/// The programs that are not executable files in this folder, if any.
pub fn missing_in(dir: &Path, programs: &[&str]) -> Option<String> {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|name| !is_executable(&dir.join(name)))
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The version (`v1.2.3`) that the go.mod in `module` requires of a Go module.
pub fn required_version(module: &Path, of: &str) -> Result<String, Error> {
    let path = module.join("go.mod");
    let go_mod = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let what = format!("requires no {of} v1.x.y");
    version_in(&go_mod, of)
        .map(str::to_owned)
        .ok_or(Error::GoModule { path, what })
}

fn version_in<'a>(go_mod: &'a str, of: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line
            .trim()
            .strip_prefix("require ")
            .unwrap_or(line.trim())
            .split_whitespace();
        (words.next() == Some(of))
            .then(|| words.next())?
            .filter(|word| word.starts_with('v'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOURCES: [&str; 2] = ["go.mod", "program/main.go"];

    fn programs(module: &Path) -> Programs<'_> {
        Programs {
            module,
            cache: "tests",
            version: "v1.2.3",
            packages: &["./program"],
            programs: &["first", "second", "third"],
            sources: &SOURCES,
            linker_flags: "-s",
            tags: "",
            takes: "no time",
            otherwise: "",
        }
    }

    #[test]
    fn the_version_is_the_one_that_go_mod_requires() {
        let of = "k8s.io/kubernetes";
        assert_eq!(
            version_in(
                "require (\n\tk8s.io/kubectl v0.1.2\n\tk8s.io/kubernetes v1.2.3\n)",
                of
            ),
            Some("v1.2.3")
        );
        assert_eq!(
            version_in("require k8s.io/kubernetes v1.2.3 // indirect", of),
            Some("v1.2.3")
        );
        assert_eq!(
            version_in("replace k8s.io/kubernetes => ../kubernetes", of),
            None
        );
        assert_eq!(version_in("require k8s.io/kubectl v0.1.2", of), None);
    }

    #[test]
    fn a_change_of_any_source_flag_or_tag_changes_the_cache_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("program")).unwrap();
        for name in SOURCES {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        let before = programs(dir.path()).cache_name().unwrap();
        assert_eq!(before, programs(dir.path()).cache_name().unwrap());
        let flag = Programs {
            linker_flags: "-w",
            ..programs(dir.path())
        };
        assert_ne!(before, flag.cache_name().unwrap());
        let tag = Programs {
            tags: "small",
            ..programs(dir.path())
        };
        assert_ne!(before, tag.cache_name().unwrap());
        for name in SOURCES {
            fs::write(dir.path().join(name), "changed").unwrap();
            assert_ne!(before, programs(dir.path()).cache_name().unwrap(), "{name}");
            fs::write(dir.path().join(name), "text").unwrap();
        }
    }

    #[test]
    fn a_folder_without_all_executables_is_not_taken() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let programs = programs(dir.path());
        for name in programs.programs {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let missing = |dir: &Path| missing_in(dir, programs.programs);
        assert_eq!(missing(dir.path()).unwrap(), "first, second, third");
        for name in ["first", "second"] {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(missing(dir.path()).unwrap(), "third");
    }
}
