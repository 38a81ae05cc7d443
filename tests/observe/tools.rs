//! Prometheus's own programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where the program is. Never skipped: a test that cannot be run has failed.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("{program} is not on PATH: install Debian's package prometheus (apt-get install --no-install-recommends prometheus)")
        })
}

/// Runs promtool with this input; what it printed, if it was content.
pub fn promtool(args: &[&str], input: &str) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new(find("promtool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}
