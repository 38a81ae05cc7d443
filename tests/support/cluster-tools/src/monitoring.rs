//! The Prometheus Operator's CustomResourceDefinitions, as its own module ships them: downloaded,
//! checked against go.sum, and not built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
/// The kinds that the chart makes.
const KINDS: [&str; 3] = ["podmonitors", "prometheusrules", "servicemonitors"];

/// The files of the definitions, in the Go module cache. Blocks.
pub fn monitoring_crds() -> Result<Vec<PathBuf>, Error> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring");
    go(&module, &["mod", "download", MODULE])?;
    let dir = go(
        &module,
        &["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", MODULE],
    )?;
    let crds = Path::new(dir.trim()).join("example/prometheus-operator-crd");
    let file = |kind: &&str| crds.join(format!("monitoring.coreos.com_{kind}.yaml"));
    Ok(KINDS.iter().map(file).collect())
}

fn go(module: &Path, args: &[&str]) -> Result<String, Error> {
    let title = || format!("the CustomResourceDefinitions of {MODULE}");
    let output = Command::new("go")
        .args(args)
        .current_dir(module)
        .env("GOWORK", "off")
        .output()
        .map_err(|error| Error::NoGo {
            title: title(),
            dir: module.to_owned(),
            why: format!("`go` cannot be run ({error})"),
            otherwise: String::new(),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Build {
        title: title(),
        dir: module.to_owned(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
        otherwise: String::new(),
    })
}
