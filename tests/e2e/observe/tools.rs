//! Prometheus's own programs.

use std::process::{Command, Stdio};

use cluster_tools::PrometheusTools;

/// The programs. Call it before anything else starts: the first call builds them, for minutes.
pub async fn tools() -> PrometheusTools {
    let built = tokio::task::spawn_blocking(PrometheusTools::ensure).await;
    built.unwrap().unwrap_or_else(|why| panic!("{why}"))
}

/// Runs promtool with this input; returns its output, if it succeeded.
pub fn promtool(tools: &PrometheusTools, args: &[&str], input: &str) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new(tools.promtool())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(text),
    }
}
