//! One run of `go build`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::Error;
use crate::once::say;

const PACKAGES: [&str; 3] = ["./kube-apiserver", "./etcd", "./kubectl"];
/// Lines of the compiler's output that go into the error.
const OUTPUT_LINES: usize = 30;

/// Builds the three programs of the Go module in `source` into the folder
/// `to`, which will be renamed to `destined`. `version` is `v1.2.3`.
pub(crate) fn build(source: &Path, version: &str, to: &Path, destined: &Path) -> Result<(), Error> {
    say(&format!(
        "Building kube-apiserver, etcd and kubectl {version} with Go into {}; once, about 4 min on two cores",
        destined.display()
    ));
    let started = Instant::now();
    // With a slash at the end `-o` is a folder.
    let mut output_dir = OsString::from(to);
    output_dir.push("/");
    let output = Command::new("go")
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
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "there is no `go` in PATH".to_owned(),
                _ => format!("`go` cannot be run: {error}"),
            };
            return Err(Error::NoGo {
                version: version.into(),
                dir: destined.into(),
                why,
            });
        }
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Build {
            version: version.into(),
            dir: source.into(),
            status: output.status.to_string(),
            output: last_lines(&text, OUTPUT_LINES),
        });
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
