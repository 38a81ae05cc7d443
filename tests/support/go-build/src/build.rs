//! One run of `go build`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use tempfile::NamedTempFile;

use crate::once::say;
use crate::supervise::supervised;
use crate::{Error, Programs};

/// Lines of the compiler's output that go into the error.
const OUTPUT_LINES: usize = 30;

/// Builds the programs into the folder `to`, which will be renamed to `destined`. If this
/// process is killed, so is the build: a stray one would fill `to` again after
/// the next caller has cleared it away.
pub(crate) fn build(programs: &Programs<'_>, to: &Path, destined: &Path) -> Result<(), Error> {
    let title = programs.title();
    say(&format!(
        "Building {title} with Go into {}; once, {}",
        destined.display(),
        programs.takes
    ));
    let started = Instant::now();
    // With a slash at the end `-o` is a folder.
    let mut output_dir = OsString::from(to);
    output_dir.push("/");
    let log = NamedTempFile::new().map_err(Error::io("write in", &std::env::temp_dir()))?;
    let mut command = supervised(log.path(), OsStr::new("go"));
    command
        .args(arguments(programs.linker_flags))
        .arg("-o")
        .arg(output_dir)
        .args(programs.packages)
        .current_dir(programs.module)
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
    let otherwise = programs.otherwise.to_owned();
    let why = match status.code() {
        Some(0) => {
            say(&format!("Built in {} s", started.elapsed().as_secs()));
            return Ok(());
        }
        // What a shell says; go itself uses neither.
        Some(127) => "there is no `go` in PATH",
        Some(126) => "the `go` in PATH cannot be run",
        _ => {
            let text = fs::read(log.path()).map_err(Error::io("read", log.path()))?;
            return Err(Error::Build {
                title,
                dir: programs.module.into(),
                status: status.to_string(),
                output: last_lines(&String::from_utf8_lossy(&text), OUTPUT_LINES),
                otherwise,
            });
        }
    };
    Err(Error::NoGo {
        title,
        dir: destined.into(),
        why: why.into(),
        otherwise,
    })
}

/// What `go build` is told, apart from the target and the packages.
pub(crate) fn arguments(linker_flags: &str) -> [&str; 6] {
    [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        linker_flags,
    ]
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_what_counts() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
