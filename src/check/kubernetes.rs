//! Whether the API server lets us work, and whether its CRD is ours.

use std::time::Duration;

use serde_json::Value;

use super::{Finding, Right, needed};
use crate::cluster::{Cluster, ClusterError};
use crate::config::Config;
use crate::crd;

const API_SERVER: &str = "API server";
const CRD: &str = "CRD";
const RIGHTS: &str = "rights";
/// The schema of the resource in the API server's OpenAPI document.
const SCHEMA: &str = "dev.phonemigration.v1alpha1.PhoneMigration";
/// Missing fields that a line names at most.
const NAMED: usize = 5;

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
    findings.push(installed(cluster).await);
    for right in needed(config) {
        findings.push(allowed(cluster, &right).await);
    }
    findings
}

/// Nothing else can be asked then.
pub(super) fn unreachable(why: impl Into<String>) -> Vec<Finding> {
    let skipped = "the API server cannot be asked";
    vec![
        Finding::wrong(API_SERVER, why),
        Finding::not_checked(CRD, skipped),
        Finding::not_checked(RIGHTS, skipped),
    ]
}

/// The schema that is served. Right after an install the API server publishes it some seconds late.
async fn published(cluster: &Cluster) -> Result<Value, ClusterError> {
    let mut looks = 1;
    loop {
        match cluster.openapi("apis/phonemigration.dev/v1alpha1").await {
            Err(ClusterError::NotFound) if looks < 10 => looks += 1,
            result => return result,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn installed(cluster: &Cluster) -> Finding {
    const INSTALL: &str = "apply crds/phonemigrations.yaml of this version";
    let served = match published(cluster).await {
        Ok(served) => served,
        Err(ClusterError::NotFound) => {
            let text = format!("phonemigration.dev/v1alpha1 is not installed: {INSTALL}");
            return Finding::wrong(CRD, text);
        }
        Err(error) => return Finding::wrong(CRD, format!("its schema cannot be read: {error}")),
    };
    let Some(ours) = own_schema() else {
        return Finding::wrong(CRD, "this binary's own CRD has no schema: please report it");
    };
    let missing = missing(&ours, &served["components"]["schemas"][SCHEMA]);
    match missing.as_slice() {
        [] => Finding::fine(
            CRD,
            "phonemigration.dev/v1alpha1 has every field of this version",
        ),
        fields => {
            let named = fields[..fields.len().min(NAMED)].join(", ");
            let more = fields.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let text = format!("is of another version and lacks {named}{more}: {INSTALL}");
            Finding::wrong(CRD, text)
        }
    }
}

/// The schema that this binary would install.
fn own_schema() -> Option<Value> {
    let crd = serde_yaml_ng::from_str::<Value>(&crd::crd_yaml().ok()?).ok()?;
    let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    schema.is_object().then_some(schema)
}

/// Paths of the fields that `wanted` has and `found` lacks.
fn missing(wanted: &Value, found: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", wanted, found, &mut paths);
    paths
}

fn compare(path: &str, wanted: &Value, found: &Value, paths: &mut Vec<String>) {
    for (name, field) in wanted["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match found["properties"].get(name) {
            Some(there) => compare(&path, field, there, paths),
            None => paths.push(path),
        }
    }
    if wanted["items"].is_object() {
        compare(path, &wanted["items"], &found["items"], paths);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_fields_are_named_by_their_paths() {
        let leaf = json!({"type": "string"});
        let wanted = json!({"properties": {
            "spec": {"properties": {"a": leaf, "b": leaf}},
            "status": {"properties": {"list": {"items": {"properties": {"x": leaf, "y": leaf}}}}},
        }});
        let found = json!({"properties": {
            "spec": {"properties": {"a": leaf, "more": leaf}},
            "status": {"properties": {"list": {"items": {"properties": {"y": leaf}}}}},
        }});
        assert_eq!(missing(&wanted, &found), [".spec.b", ".status.list.x"]);
        assert_eq!(missing(&wanted, &wanted), [""; 0]);
        assert_eq!(missing(&wanted, &Value::Null), [".spec", ".status"]);
    }

    #[test]
    fn this_binary_knows_its_own_fields() {
        let schema = own_schema().unwrap_or_default();
        let fields = missing(&schema, &Value::Null);
        assert!(fields.contains(&".status".to_owned()), "{fields:?}");
    }
}
