//! Flux's kstatus library, with which Flux and Helm 4 wait, as a small program: built once with Go
//! from the pinned module in `go/`, whose `main.go` says what it reads and prints.

use std::path::{Path, PathBuf};

use go_build::{Error, Programs, required_version};

/// Finds the program, or builds it: a minute the first time, nothing after. Blocks.
pub fn program() -> Result<PathBuf, Error> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let version = required_version(&module, "github.com/fluxcd/cli-utils")?;
    let dir = Programs {
        module: &module,
        cache: "kstatus",
        version: &version,
        packages: &["."],
        programs: &["kstatus"],
        sources: &["go.mod", "go.sum", "main.go"],
        linker_flags: "-s -w",
        tags: "",
        takes: "about 1 min on two cores",
        otherwise: "",
    }
    .ensure()?;
    Ok(dir.join("kstatus"))
}
