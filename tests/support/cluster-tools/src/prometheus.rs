//! Prometheus and promtool as released, without the user interface and without the discovery of
//! targets in clouds, built once with Go from the pinned module in `prometheus/`.

use std::path::{Path, PathBuf};

use go_build::{Programs, required_version};

use crate::Error;

/// A folder with Prometheus and promtool.
#[derive(Clone, Debug)]
pub struct PrometheusTools {
    dir: PathBuf,
}

impl PrometheusTools {
    /// Finds them, or builds them: minutes the first time, nothing after. Blocks.
    pub fn ensure() -> Result<Self, Error> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus");
        let version = required_version(&module, "github.com/prometheus/prometheus")?;
        let dir = Programs {
            module: &module,
            cache: "prometheus",
            version: &version,
            packages: &["tool"],
            programs: &["prometheus", "promtool"],
            sources: &["go.mod", "go.sum"],
            // The output of `--version`.
            linker_flags: &format!(
                "-s -w -X github.com/prometheus/common/version.Version={version}"
            ),
            tags: "remove_all_sd",
            takes: "about 3 min on two cores",
            otherwise: "",
        }
        .ensure()?;
        Ok(Self { dir })
    }

    pub fn prometheus(&self) -> PathBuf {
        self.dir.join("prometheus")
    }

    /// Checks rules, metrics and unit tests of rules.
    pub fn promtool(&self) -> PathBuf {
        self.dir.join("promtool")
    }
}
