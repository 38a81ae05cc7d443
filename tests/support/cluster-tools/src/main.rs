//! Builds every Go program that the tests need, one after another: `cargo run -p cluster-tools`.
//! Without it, the first test that needs a program builds it while other tests run.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use cluster_tools::{Error, PrometheusTools, Tools, monitoring_crds};
use go_build::kubernetes;

type Program = fn() -> Result<PathBuf, Error>;

const PROGRAMS: [Program; 5] = [
    || kubernetes::assets().map(|assets| assets.dir().to_owned()),
    || Tools::ensure().map(|tools| tools.helm()),
    || PrometheusTools::ensure().map(|tools| tools.prometheus()),
    kstatus::program,
    || monitoring_crds().map(|files| files.into_iter().next().unwrap_or_default()),
];

fn main() -> ExitCode {
    for program in PROGRAMS {
        let said = match program() {
            Ok(path) => writeln!(std::io::stdout(), "{}", path.display()),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "cluster-tools: {error}");
                return ExitCode::FAILURE;
            }
        };
        if said.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
