//! Helm and kubeconform as released, built once with Go from the pinned module in `go/`;
//! Prometheus and promtool likewise, from `prometheus/`.
//!
//! What is *not* there: kustomize (kubectl has it built in), and schemas of Kubernetes for
//! kubeconform (it would fetch them from the network; tests make them from what the API server
//! itself publishes).

mod monitoring;
mod prometheus;

use std::path::{Path, PathBuf};

use go_build::{Programs, required_version};

pub use go_build::Error;
pub use monitoring::monitoring_crds;
pub use prometheus::PrometheusTools;

const HELM: &str = "helm.sh/helm/v4";

/// A folder with Helm and kubeconform.
#[derive(Clone, Debug)]
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// Finds them, or builds them: minutes the first time, nothing after. Blocks.
    pub fn ensure() -> Result<Self, Error> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let version = required_version(&module, HELM)?;
        let dir = Programs {
            module: &module,
            cache: "cluster-tools",
            version: &version,
            packages: &["tool"],
            programs: &["helm", "kubeconform"],
            sources: &["go.mod", "go.sum"],
            // The output of `helm version`; charts see it as .Capabilities.HelmVersion.
            linker_flags: &format!("-s -w -X {HELM}/internal/version.version={version}"),
            tags: "",
            takes: "about 3 min on two cores",
            otherwise: "",
        }
        .ensure()?;
        Ok(Self { dir })
    }

    /// Helm 4, or the program that `PHONEMIG_HELM` names: so another version is tried.
    pub fn helm(&self) -> PathBuf {
        std::env::var_os("PHONEMIG_HELM").map_or_else(|| self.dir.join("helm"), PathBuf::from)
    }

    /// Validates manifests against JSON schemas.
    pub fn kubeconform(&self) -> PathBuf {
        self.dir.join("kubeconform")
    }
}
