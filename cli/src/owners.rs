//! Which tool writes a field, as `metadata.managedFields` and `ownerReferences` tell. PURE.
//!
//! Such a tool restores its value in its next round: a code would vanish within minutes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use crate::text::clean;

/// Managers of tools that write again and again, by a part of their names. With server-side apply
/// every manager but kubectl's counts.
const TOOLS: [&str; 7] = [
    "controller",
    "external-secrets",
    "externalsecrets",
    "argocd",
    "flux",
    "helm",
    "vault",
];

/// The tool that owns a value of a Secret, if there is one: an owner that controls it, or a manager
/// of this key.
pub fn owner_of_secret(metadata: &ObjectMeta, key: &str) -> Option<String> {
    let owners = metadata.owner_references.iter().flatten();
    let controller = owners
        .clone()
        .find(|owner| owner.controller == Some(true) || owner.kind.ends_with("Secret"));
    if let Some(owner) = controller {
        return Some(clean(&format!("{} {}", owner.kind, owner.name)));
    }
    let field = format!("f:{key}");
    manager_of(metadata, &["f:data", &field]).or_else(|| manager_of(metadata, &["f:data", "."]))
}

/// The tool that owns spec.retryToken, if there is one.
pub fn owner_of_retry_token(metadata: &ObjectMeta) -> Option<String> {
    manager_of(metadata, &["f:spec", "f:retryToken"])
}

/// The manager's name, with the product's where it is known.
pub fn with_product(manager: &str) -> String {
    let product = match manager {
        "kustomize-controller" | "helm-controller" => "Flux",
        _ if manager.contains("argocd") => "Argo CD",
        _ if manager.contains("external-secrets") || manager.contains("externalsecrets") => {
            "External Secrets"
        }
        // Its Sealed Secrets controller calls itself so.
        "controller" => "Sealed Secrets",
        "helm" => "Helm",
        _ => return manager.to_owned(),
    };
    format!("{manager} ({product})")
}

fn manager_of(metadata: &ObjectMeta, path: &[&str]) -> Option<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let mut tools = entries.filter(|entry| writes_again(entry) && holds(entry, path));
    tools.find_map(|entry| entry.manager.as_deref().map(clean))
}

fn writes_again(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    let applies = entry.operation.as_deref() == Some("Apply");
    let by_a_person = manager.starts_with("kubectl");
    !by_a_person && (applies || TOOLS.iter().any(|tool| manager.contains(tool)))
}

fn holds(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    let found = fields.and_then(|fields| path.iter().try_fold(fields, |node, key| node.get(key)));
    found.is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn metadata(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    fn managed(manager: &str, operation: &str, fields: Value) -> ObjectMeta {
        metadata(json!({"managedFields": [
            {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}
        ]}))
    }

    #[test]
    fn tools_that_write_again_own_a_secret() {
        let data = json!({"f:data": {".": {}, "f:code": {}}});
        for (manager, operation) in [
            ("externalsecrets.external-secrets.io/store-42", "Apply"),
            ("controller", "Update"),
            ("kustomize-controller", "Apply"),
            ("argocd-controller", "Update"),
            ("my-own-tool", "Apply"),
        ] {
            let owner = owner_of_secret(&managed(manager, operation, data.clone()), "code");
            assert_eq!(owner.as_deref(), Some(manager));
        }
    }

    #[test]
    fn people_and_scripts_do_not() {
        let data = json!({"f:data": {".": {}, "f:code": {}}});
        for (manager, operation) in [
            ("kubectl-create", "Update"),
            ("kubectl", "Apply"),
            ("kubectl-client-side-apply", "Update"),
            ("kubectl-phmig", "Update"),
            ("curl", "Update"),
        ] {
            let owner = owner_of_secret(&managed(manager, operation, data.clone()), "code");
            assert_eq!(owner, None, "{manager}");
        }
        let labels = json!({"f:metadata": {"f:labels": {}}});
        let other = managed("kustomize-controller", "Apply", labels);
        assert_eq!(owner_of_secret(&other, "code"), None);
    }

    #[test]
    fn a_controlling_owner_counts_whoever_wrote() {
        let owned = metadata(
            json!({"ownerReferences": [{"apiVersion": "bitnami.com/v1alpha1",
            "kind": "SealedSecret", "name": "store-42-code", "uid": "u", "controller": true}]}),
        );
        let owner = owner_of_secret(&owned, "code");
        assert_eq!(owner.as_deref(), Some("SealedSecret store-42-code"));
    }

    #[test]
    fn the_owner_of_the_retry_token_is_named_with_its_product() {
        let token = json!({"f:spec": {"f:retryToken": {}}});
        let owned = managed("kustomize-controller", "Apply", token.clone());
        let owner = owner_of_retry_token(&owned).unwrap();
        assert_eq!(with_product(&owner), "kustomize-controller (Flux)");
        let other = managed(
            "kustomize-controller",
            "Apply",
            json!({"f:spec": {"f:suspend": {}}}),
        );
        assert_eq!(owner_of_retry_token(&other), None);
        assert_eq!(
            owner_of_retry_token(&managed("kubectl-edit", "Update", token)),
            None
        );
    }
}
