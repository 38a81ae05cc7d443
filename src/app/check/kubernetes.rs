//! Checks the operator's access to the API server and the version of its CRDs.

use std::time::Duration;

use serde_json::Value;

use super::{Finding, Right, Verdict, needed};
use crate::app::config::Config;
use crate::app::served::{self, ResourceType, Served, TYPES};
use crate::cluster::ledgers::LedgerStore;
use crate::cluster::{Cluster, ClusterError};

const API_SERVER: &str = "API server";
const CRD: &str = "CRD";
const RIGHTS: &str = "rights";
const LEDGER: &str = "CodeLedgers";

pub(super) async fn check(config: &Config, cluster: &Cluster) -> Vec<Finding> {
    let mut findings = match cluster.server_version().await {
        Ok(version) => vec![Finding::fine(API_SERVER, format!("{version} answers"))],
        Err(ClusterError::Forbidden | ClusterError::Unauthorized) => {
            return unreachable(
                "refuses our identity (401 or 403): give the pod its ServiceAccount, or correct the \
                 kubeconfig",
            );
        }
        Err(error) => {
            return unreachable(format!("{error}: check its address and the egress rules"));
        }
    };
    findings.extend(installed(cluster).await);
    for right in needed(config) {
        findings.push(allowed(cluster, &right).await);
    }
    let in_the_way = |finding: &Finding| matches!(finding.verdict, Verdict::Wrong(_));
    findings.push(if findings.iter().any(in_the_way) {
        Finding::not_checked(LEDGER, "a CRD or a right is not as it should be")
    } else {
        writable(config, cluster).await
    });
    findings
}

/// The findings when the API server cannot be asked: `check` skips every later item.
pub(super) fn unreachable(why: impl Into<String>) -> Vec<Finding> {
    let skipped = "the API server cannot be asked";
    vec![
        Finding::wrong(API_SERVER, why),
        Finding::not_checked(CRD, skipped),
        Finding::not_checked(RIGHTS, skipped),
        Finding::not_checked(LEDGER, skipped),
    ]
}

/// The served schemas. Right after an install the API server publishes them some seconds late.
async fn published(cluster: &Cluster) -> Result<Value, ClusterError> {
    let mut tries = 1;
    loop {
        let document = served::document(cluster).await?;
        let there = |of: &ResourceType| of.judge(&document) != Served::Nothing;
        if tries == 10 || TYPES.iter().all(there) {
            return Ok(document);
        }
        tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A line for each CRD.
async fn installed(cluster: &Cluster) -> Vec<Finding> {
    let document = match published(cluster).await {
        Ok(document) => document,
        Err(error) => {
            let text = format!("their schemas cannot be read: {error}");
            return vec![Finding::wrong(CRD, text)];
        }
    };
    TYPES.iter().map(|of| version(of, &document)).collect()
}

fn version(of: &ResourceType, document: &Value) -> Finding {
    let (name, file) = (of.name(), of.file());
    match of.judge(document) {
        Served::Fine => Finding::fine(CRD, format!("{name} has every field of this version")),
        Served::Nothing => Finding::wrong(
            CRD,
            format!("{name} is not installed: apply {file} of this version"),
        ),
        Served::Lacks(fields) => Finding::wrong(
            CRD,
            format!(
                "{name} is of another version and lacks {fields}: apply {file} of this version"
            ),
        ),
    }
}

/// Does a claim's write as a dry run, so that RBAC, quotas, policies and webhooks take part.
async fn writable(config: &Config, cluster: &Cluster) -> Finding {
    let namespace = &config.ledger_namespace;
    let ledgers = LedgerStore::new(cluster.client().clone(), namespace.clone());
    match ledgers.try_create().await {
        Ok(()) => Finding::fine(
            LEDGER,
            format!("can be written in namespace {namespace} (by a dry run)"),
        ),
        Err(ClusterError::NotFound) => Finding::wrong(
            LEDGER,
            format!("there is no namespace {namespace}: create it, or correct --ledger-namespace"),
        ),
        Err(error) => {
            let answer = error
                .status()
                .map_or_else(|| error.to_string(), |status| format!("HTTP {status}"));
            Finding::wrong(
                LEDGER,
                format!(
                    "cannot be written in namespace {namespace} ({answer} to a dry run): look for \
                     a quota on object counts, an admission policy or a webhook there, and exempt \
                     this namespace"
                ),
            )
        }
    }
}

async fn allowed(cluster: &Cluster, right: &Right) -> Finding {
    let mut refused = Vec::new();
    for verb in &right.verbs {
        match cluster.may(right, verb).await {
            Ok(true) => {}
            Ok(false) => refused.push(*verb),
            Err(error) => {
                let text = format!("cannot be asked for ({}): {error}", right.words(&[verb]));
                return Finding::wrong(RIGHTS, text);
            }
        }
    }
    if refused.is_empty() {
        return Finding::fine(RIGHTS, right.words(&right.verbs));
    }
    let what = right.words(&refused);
    Finding::wrong(RIGHTS, format!("may not {what}: {}", advice(right)))
}

fn advice(right: &Right) -> &'static str {
    match (right.resource, &right.namespace) {
        ("leases", _) => {
            "apply the Role and RoleBinding phone-migration-operator-leader-election of \
             deploy/rbac.yaml there"
        }
        ("codeledgers", _) => {
            "apply the Role and RoleBinding phone-migration-operator-ledger of deploy/rbac.yaml there"
        }
        ("secrets", _) if right.verbs.len() > 1 => {
            "apply deploy/rbac.yaml; list and watch are not in it: add them, or leave \
             --watch-secrets out"
        }
        (_, Some(_)) => {
            "bind the ClusterRole phone-migration-operator of deploy/rbac.yaml to the operator's \
             ServiceAccount there"
        }
        (_, None) => "apply deploy/rbac.yaml",
    }
}
