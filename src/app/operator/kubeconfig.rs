//! The configuration of the Kubernetes client outside a cluster, from a kubeconfig. From the
//! environment it takes only the path of that file.
//!
//! Limit: kube takes a proxy from `HTTPS_PROXY` when the kubeconfig names none. The operator does
//! not support proxies, and a proxy's URL may hold a password. So it keeps kube from reading that
//! variable, and shows no library text that may repeat a URL or a part of the file.

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::{Fatal, fatal};

/// Takes the place of a cluster's own proxy, so that kube does not look for one in the environment.
const NO_PROXY: &str = "http://proxies-are-not-supported.invalid";

/// Reads the file that `KUBECONFIG` names, else `~/.kube/config`.
pub(super) async fn load() -> Result<kube::Config, Fatal> {
    let file = Kubeconfig::read().map_err(|e| fault(&e))?;
    of(file).await
}

async fn of(mut file: Kubeconfig) -> Result<kube::Config, Fatal> {
    let clusters = file.clusters.iter_mut();
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        let own = cluster
            .proxy_url
            .as_ref()
            .is_some_and(|url| !url.is_empty());
        if !own {
            cluster.proxy_url = Some(NO_PROXY.to_owned());
        }
    }
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|e| fault(&e))?;
    let proxy = config.proxy_url.take();
    if proxy.is_some_and(|url| url.host() != NO_PROXY.strip_prefix("http://")) {
        return Err(Fatal(
            "kubeconfig (see KUBECONFIG): its cluster names a proxy-url, and proxies are not \
             supported: remove it"
                .to_owned(),
        ));
    }
    Ok(config)
}

fn fault(error: &KubeconfigError) -> Fatal {
    let told: &dyn std::fmt::Display = match error {
        // The parser's text shows lines of the file, and the file holds tokens.
        KubeconfigError::Parse(_) => &"it is no YAML, or not of the shape of a kubeconfig",
        KubeconfigError::ParseProxyUrl(_) => &"its cluster's proxy-url is no URL",
        KubeconfigError::ParseClusterUrl(_) => &"its cluster's server is no URL",
        other => other,
    };
    fatal("kubeconfig (see KUBECONFIG)")(told)
}

/// Why kube cannot build a client from a configuration, without a plugin's output or a URL.
pub(super) fn client_fault(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Auth(_) => "the credentials of its user cannot be loaded",
        kube::Error::RustlsTls(_) => "its certificates or keys cannot be used",
        _ => "its configuration cannot be used",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn file(cluster: &str) -> Kubeconfig {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], users: [{{name: u, user: {{}}}}], clusters: [{{name: k, cluster: {{{cluster}}}}}]}}"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    #[tokio::test]
    async fn a_kubeconfig_gives_no_proxy_and_its_own_one_is_refused_without_its_url() {
        let config = of(file("server: 'https://10.0.0.1:6443'")).await.unwrap();
        assert_eq!(config.proxy_url, None);
        for proxy in [
            "http://me:canary@proxy.example:3128",
            "http://me:canary@[proxy",
        ] {
            let cluster = format!("server: 'https://10.0.0.1:6443', proxy-url: '{proxy}'");
            let error = of(file(&cluster)).await.err().unwrap().to_string();
            assert!(
                error.contains("proxy-url") && !error.contains("canary"),
                "{error}"
            );
        }
    }
}
