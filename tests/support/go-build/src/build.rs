//! One build: modules are downloaded, packages counted, programs built.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::supervise::supervised;
use crate::{Error, Programs, Step};

/// Lines of the compiler's output that go into the error.
const OUTPUT_LINES: usize = 30;
/// Downloads at a time.
const DOWNLOADS: &str = "16";
/// How often the output of `go` is read.
const POLL: Duration = Duration::from_millis(100);

/// Builds the programs into the folder `to`, which will be renamed to `destined`. If this process
/// is killed, the build is killed too: a stray one would fill `to` again after the next caller has
/// removed it.
pub(crate) fn build(
    programs: &Programs<'_>,
    to: &Path,
    destined: &Path,
    tell: &dyn Fn(Step<'_>),
) -> Result<(), Error> {
    tell(Step::Begun(destined));
    let started = Instant::now();
    // Otherwise a killed build leaves gigabytes in the machine's folder for temporary files.
    let scratch = to.join("scratch");
    fs::create_dir(&scratch).map_err(Error::io("make", &scratch))?;
    let go = Go {
        programs,
        destined,
        scratch: &scratch,
    };
    let packages = go.packages(tell)?;
    // With a slash at the end `-o` is a folder.
    let mut output_dir = OsString::from(to);
    output_dir.push("/");
    let flags = arguments(programs.linker_flags, programs.tags);
    let mut arguments: Vec<&OsStr> = flags.iter().map(OsStr::new).collect();
    // `-v` names each package when it is compiled. The programs have no debug information (`-s -w`
    // among the linker's flags), so the compiler need not write any.
    let more = ["-v", "-gcflags=all=-dwarf=false", "-o"];
    arguments.extend(more.map(OsStr::new));
    arguments.push(&output_dir);
    arguments.extend(programs.packages.iter().map(OsStr::new));
    let mut done = 0;
    tell(Step::Compiled {
        done,
        total: packages,
    });
    let (status, text) = go.run(&arguments, &[], &mut |line| {
        if is_package(line) {
            done += 1;
            tell(Step::Compiled {
                done: done.min(packages),
                total: packages,
            });
        }
    })?;
    if !status.success() {
        return Err(Error::Build {
            title: programs.title(),
            dir: programs.module.into(),
            status: status.to_string(),
            output: last_lines(&without_progress(&text), OUTPUT_LINES),
            otherwise: programs.otherwise.to_owned(),
        });
    }
    fs::remove_dir_all(&scratch).map_err(Error::io("remove", &scratch))?;
    tell(Step::Built(started.elapsed()));
    Ok(())
}

/// The `go` in PATH, in one Go module.
struct Go<'a> {
    programs: &'a Programs<'a>,
    destined: &'a Path,
    scratch: &'a Path,
}

impl Go<'_> {
    /// Downloads the modules that the programs need and the machine's module cache lacks. Returns
    /// how many packages the programs consist of, including those of Go itself. If it fails, the
    /// build will fail too, and say why.
    fn packages(&self, tell: &dyn Fn(Step<'_>)) -> Result<usize, Error> {
        let Programs { module, tags, .. } = self.programs;
        let go_mod = module.join("go.mod");
        let text = fs::read_to_string(&go_mod).map_err(Error::io("read", &go_mod))?;
        let total = text.lines().filter(|line| is_requirement(line)).count();
        let mut arguments = ["list", "-mod=readonly", "-deps", "-tags", tags]
            .map(OsStr::new)
            .to_vec();
        arguments.extend(self.programs.packages.iter().map(OsStr::new));
        let (mut done, mut packages) = (0, 0);
        tell(Step::Downloaded { done, total });
        // `go` downloads as many modules at a time as it may use processors.
        let environment = [("GOMAXPROCS", DOWNLOADS)];
        self.run(&arguments, &environment, &mut |line| {
            packages += usize::from(is_package(line));
            if line.starts_with("go: downloading ") {
                done += 1;
                let done = done.min(total);
                tell(Step::Downloaded { done, total });
            }
        })?;
        Ok(packages)
    }

    /// Runs it to its end, and passes each printed line to `each` at once. Returns all of its
    /// output.
    fn run(
        &self,
        arguments: &[&OsStr],
        environment: &[(&str, &str)],
        each: &mut dyn FnMut(&str),
    ) -> Result<(ExitStatus, String), Error> {
        let log = NamedTempFile::new().map_err(Error::io("write in", &std::env::temp_dir()))?;
        let mut command = supervised(log.path(), OsStr::new("go"));
        command
            .args(arguments)
            .current_dir(self.programs.module)
            .env("CGO_ENABLED", "0")
            .env("GOTMPDIR", self.scratch)
            // The user's environment may be set up for something else.
            .env("GOWORK", "off")
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .envs(environment.iter().copied())
            .stdout(Stdio::null());
        let sh = Path::new("/bin/sh");
        let mut shell = command.spawn().map_err(Error::io("run", sh))?;
        // Taken because `wait` would close it, and so end the build.
        let lifeline = shell.stdin.take();
        let mut said = Said::of(log.path())?;
        let status = loop {
            let ended = shell.try_wait().map_err(Error::io("wait for", sh))?;
            said.follow(each).map_err(Error::io("read", log.path()))?;
            match ended {
                Some(status) => break status,
                None => thread::sleep(POLL),
            }
        };
        drop(lifeline);
        match status.code() {
            // Exit codes of a shell; go itself uses neither.
            Some(127) => Err(self.no_go("there is no `go` in PATH")),
            Some(126) => Err(self.no_go("the `go` in PATH cannot be run")),
            Some(_) | None => Ok((status, said.text)),
        }
    }

    fn no_go(&self, why: &str) -> Error {
        Error::NoGo {
            title: self.programs.title(),
            dir: self.destined.into(),
            why: why.into(),
            otherwise: self.programs.otherwise.to_owned(),
        }
    }
}

/// The output of a process in its log so far.
struct Said {
    file: File,
    text: String,
    /// Where the first incomplete line begins.
    seen: usize,
}

impl Said {
    fn of(log: &Path) -> Result<Self, Error> {
        let file = File::open(log).map_err(Error::io("read", log))?;
        let text = String::new();
        Ok(Self {
            file,
            text,
            seen: 0,
        })
    }

    fn follow(&mut self, each: &mut dyn FnMut(&str)) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.text.push_str(&String::from_utf8_lossy(&bytes));
        let new = self.text.get(self.seen..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        new[..whole].lines().for_each(each);
        self.seen += whole;
        Ok(())
    }
}

/// `name v1.2.3`, as go.mod requires a module.
fn is_requirement(line: &str) -> bool {
    let line = line.trim();
    let mut words = line.strip_prefix("require ").unwrap_or(line).split(' ');
    let (_, version) = (words.next(), words.next());
    version.is_some_and(|version| version.starts_with('v') && !line.contains("=>"))
}

/// The name of a package, as `go build -v` and `go list` print it; error messages have a colon, and
/// the compiler's headings begin with #.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#') && !line.contains([' ', ':', '\t'])
}

/// Without the names of packages.
fn without_progress(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !is_package(line)).collect();
    lines.join("\n")
}

/// The arguments of `go build`, except the target and the packages.
pub(crate) fn arguments<'a>(linker_flags: &'a str, tags: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        linker_flags,
    ];
    if !tags.is_empty() {
        arguments.extend(["-tags", tags]);
    }
    arguments
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_end_of_the_output_is_what_counts() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }

    #[test]
    fn modules_and_packages_are_counted() {
        let go_mod = "module example.org/a\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/api v0.36.3\n\
                      \tk8s.io/utils v0.0.0-2026 // indirect\n)\n\nrequire a.org/b v1.0.0\n\
                      replace k8s.io/api => k8s.io/api v0.36.3\n";
        assert_eq!(
            go_mod.lines().filter(|line| is_requirement(line)).count(),
            3
        );
        let output = "internal/abi\nk8s.io/api/core/v1\n# k8s.io/kubectl\n\
                      main.go:3:2: undefined: nothing\ngo: downloading a.org/b v1.0.0\n";
        assert_eq!(output.lines().filter(|line| is_package(line)).count(), 2);
        assert_eq!(
            without_progress(output).lines().next(),
            Some("# k8s.io/kubectl")
        );
    }

    #[test]
    fn lines_are_given_once_and_whole() {
        use std::io::Write;
        let mut log = NamedTempFile::new().unwrap();
        let mut said = Said::of(log.path()).unwrap();
        let mut lines = Vec::new();
        for text in ["fir", "st\nsecond\nth", "", "ird\n"] {
            log.write_all(text.as_bytes()).unwrap();
            said.follow(&mut |line| lines.push(line.to_owned()))
                .unwrap();
        }
        assert_eq!(lines, ["first", "second", "third"]);
        assert_eq!(said.text, "first\nsecond\nthird\n");
    }
}
