//! One run of `go build`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use tempfile::NamedTempFile;

use crate::Error;
use crate::once::say;
use crate::process::supervised;

const PACKAGES: [&str; 3] = ["./kube-apiserver", "./etcd", "./kubectl"];
/// Lines of the compiler's output that go into the error.
const OUTPUT_LINES: usize = 30;

/// Builds the three programs of the Go module in `source` into the folder
/// `to`, which will be renamed to `destined`. `version` is `v1.2.3`. If this
/// process is killed, so is the build: a stray one would fill `to` again after
/// the next caller has cleared it away.
pub(crate) fn build(source: &Path, version: &str, to: &Path, destined: &Path) -> Result<(), Error> {
    say(&format!(
        "Building kube-apiserver, etcd and kubectl {version} with Go into {}; once, about 4 min on two cores",
        destined.display()
    ));
    let started = Instant::now();
    // With a slash at the end `-o` is a folder.
    let mut output_dir = OsString::from(to);
    output_dir.push("/");
    let log = NamedTempFile::new().map_err(Error::io("write in", &std::env::temp_dir()))?;
    let mut command = supervised(log.path(), OsStr::new("go"));
    command
        .args(arguments(version))
        .arg("-o")
        .arg(output_dir)
        .args(PACKAGES)
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        // The environment of the person may be set up for something else.
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdout(Stdio::null());
    let sh = Path::new("/bin/sh");
    let mut shell = command.spawn().map_err(Error::io("run", sh))?;
    // Taken out: `wait` would close it, and so end the build.
    let lifeline = shell.stdin.take();
    let status = shell.wait().map_err(Error::io("wait for", sh))?;
    drop(lifeline);
    let no_go = |why: &str| Error::NoGo {
        version: version.into(),
        dir: destined.into(),
        why: why.into(),
    };
    match status.code() {
        Some(0) => {}
        // What a shell says; go itself uses neither.
        Some(127) => return Err(no_go("there is no `go` in PATH")),
        Some(126) => return Err(no_go("the `go` in PATH cannot be run")),
        _ => {
            let text = fs::read(log.path()).map_err(Error::io("read", log.path()))?;
            return Err(Error::Build {
                version: version.into(),
                dir: source.into(),
                status: status.to_string(),
                output: last_lines(&String::from_utf8_lossy(&text), OUTPUT_LINES),
            });
        }
    }
    say(&format!("Built in {} s", started.elapsed().as_secs()));
    Ok(())
}

/// What `go build` is told, apart from the target and the packages.
pub(crate) fn arguments(version: &str) -> Vec<String> {
    let mut arguments = [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(linker_flags(version));
    arguments
}

/// The version variables that a release sets: `kubectl version` and the
/// user-agent show them, and without them the apiserver calls itself v0.0.0.
fn linker_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let mut flags = String::from("-s -w");
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_variables_are_those_of_a_release() {
        assert_eq!(
            linker_flags("v1.36.3"),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
             -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36 \
             -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 \
             -X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMinor=36"
        );
    }

    #[test]
    fn the_end_of_the_output_is_what_counts() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
