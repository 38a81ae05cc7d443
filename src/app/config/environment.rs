//! The facts about the process's surroundings that flags do not carry.

use std::path::Path;

use super::{CloudVariables, ConfigError};
use crate::clock;

/// Written by the kubelet into every pod that has a service account.
const POD_NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Where the process runs, as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The process runs in a pod, and the user named no kubeconfig.
    pub in_cluster: bool,
    /// `POD_NAME`, which the manifests set from the downward API.
    pub pod_name: Option<String>,
    /// `POD_NAMESPACE`, else the namespace that the kubelet wrote into the pod.
    pub pod_namespace: Option<String>,
    /// The host's name.
    pub host_name: String,
    /// Makes the default lease identity unique outside a pod.
    pub random: [u8; 4],
    /// The variables of Alibaba Cloud's SDKs.
    pub cloud: CloudVariables,
}

impl Environment {
    /// Reads the variables, the pod's namespace file, the host's name and four random bytes.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn read() -> Result<Environment, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        // As in kubectl, a kubeconfig that the user named wins. Otherwise a test inside a pod would
        // talk to that pod's cluster.
        let in_pod = variable("KUBERNETES_SERVICE_HOST").is_some();
        let in_cluster = in_pod && variable("KUBECONFIG").is_none();
        let random = clock::random().map_err(|e| ConfigError::NoRandomness(e.to_string()))?;
        Ok(Environment {
            in_cluster,
            pod_name: variable("POD_NAME"),
            pod_namespace: variable("POD_NAMESPACE").or_else(pod_namespace_file),
            host_name: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            random,
            cloud: CloudVariables::of(variable),
        })
    }

    /// The pod's name, so that a container restarted in its pod is the same holder. Outside a pod,
    /// two processes on one host must have different names.
    pub(super) fn default_identity(&self) -> String {
        match &self.pod_name {
            Some(name) => name.clone(),
            None => format!("{}-{:08x}", self.host_name, u32::from_be_bytes(self.random)),
        }
    }
}

fn pod_namespace_file() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(POD_NAMESPACE_FILE)).ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
