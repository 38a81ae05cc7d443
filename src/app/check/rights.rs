//! The rights that a run uses. PURE.

use crate::app::config::Config;
use crate::cluster::Right;

/// Every right that a run with this configuration uses.
pub fn needed(config: &Config) -> Vec<Right> {
    let namespaces: Vec<Option<String>> = if config.watch_namespaces.is_empty() {
        vec![None]
    } else {
        config.watch_namespaces.iter().cloned().map(Some).collect()
    };
    let secrets = if config.watch_secrets {
        vec!["get", "list", "watch"]
    } else {
        vec!["get"]
    };
    let mut rights = Vec::new();
    for namespace in namespaces {
        let right = |group, resource, verbs| Right {
            group,
            resource,
            verbs,
            namespace: namespace.clone(),
        };
        rights.extend([
            right(
                "phonemigration.dev",
                "phonemigrations",
                vec!["get", "list", "watch"],
            ),
            right(
                "phonemigration.dev",
                "phonemigrations/status",
                vec!["update"],
            ),
            right("", "secrets", secrets.clone()),
            right("events.k8s.io", "events", vec!["create", "patch"]),
        ]);
    }
    rights.extend(config.leader_election.as_ref().map(|election| Right {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: vec!["get", "create", "update"],
        namespace: Some(election.namespace.clone()),
    }));
    rights.push(Right {
        group: "phonemigration.dev",
        resource: "codeledgers",
        verbs: vec!["get", "list", "create", "update", "delete"],
        namespace: Some(config.ledger_namespace.clone()),
    });
    rights
}
