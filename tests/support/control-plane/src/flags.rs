//! The command lines of etcd and kube-apiserver, and the audit policy.
//! PURE: no clock, files or processes.

use std::path::Path;

use crate::pki::Pki;

/// The audit log's rules for each request. `RequestReceived` is left out, so a short request is one
/// line. The bodies of status writes, CodeLedgers, Events and Leases are kept, because tests check
/// their order and content. No other body is kept, above all no Secret.
pub(crate) const AUDIT_POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: Request
    verbs: [update, patch]
    resources: [{group: phonemigration.dev, resources: [phonemigrations/status]}]
  - level: Request
    verbs: [create, update, patch]
    resources:
      - {group: events.k8s.io, resources: [events]}
      - {group: coordination.k8s.io, resources: [leases]}
      - {group: phonemigration.dev, resources: [codeledgers]}
  - level: Metadata
"#;

/// etcd on loopback, with its data in `data`.
pub(crate) fn etcd(data: &Path, client_port: u16, peer_port: u16, extra: &[String]) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut flags = vec![
        "--name=control-plane".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=control-plane={peer}"),
        // Safe against SIGKILL, which loses nothing that was written; only a
        // crash of the machine does.
        "--unsafe-no-fsync".to_owned(),
        // A single member elects itself; the default makes it wait 0.5 s for others. No other
        // member can depose it, however long it is paused.
        "--heartbeat-interval=20".to_owned(),
        "--election-timeout=200".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    flags.extend_from_slice(extra);
    flags
}

/// kube-apiserver on loopback, its files in `dir`.
pub(crate) fn kube_apiserver(
    dir: &Path,
    pki: &Pki,
    port: u16,
    etcd_port: u16,
    extra: &[String],
) -> Vec<String> {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        // Otherwise it looks for the machine's address, and ends if there is none.
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        file("tls-cert-file", &pki.serving_certificate()),
        file("tls-private-key-file", &pki.serving_key()),
        file("token-auth-file", &pki.tokens()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        file(
            "service-account-signing-key-file",
            &pki.service_account_key(),
        ),
        file(
            "service-account-key-file",
            &pki.service_account_public_key(),
        ),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // Writes no Endpoints for a service that no client can reach anyway.
        "--endpoint-reconciler-type=none".to_owned(),
        // Far above the tests' load, so that every 429 is one that a test provoked.
        "--max-requests-inflight=3000".to_owned(),
        "--max-mutating-requests-inflight=3000".to_owned(),
        file("audit-policy-file", &dir.join("audit-policy.yaml")),
        file("audit-log-path", &dir.join("audit.log")),
        // Each request waits for its line: the log shows an answer moments later, also when the
        // process is killed.
        "--audit-log-mode=blocking".to_owned(),
        // Never rotated (0 would mean 100 MB): readers count over all of it.
        "--audit-log-maxsize=1048576".to_owned(),
        "--profiling=false".to_owned(),
    ];
    flags.extend_from_slice(extra);
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_flags_come_last_so_that_they_win() {
        let extra = ["--max-requests-inflight=5".to_owned()];
        let flags = etcd(Path::new("/data"), 1, 2, &extra);
        assert_eq!(flags.last(), extra.last());
    }
}
