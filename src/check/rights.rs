//! The rights that a run uses. PURE.

use std::fmt;

use crate::config::Config;

/// One right on one kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group, `""` for the core.
    pub group: &'static str,
    /// Resource, with its subresource behind a slash.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: Vec<&'static str>,
    /// Namespace; `None` for all.
    pub namespace: Option<String>,
}

impl Right {
    /// Resource and subresource apart.
    pub fn parts(&self) -> (&'static str, Option<&'static str>) {
        match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        }
    }

    /// The verbs of a right, in words.
    pub fn words(&self, verbs: &[&str]) -> String {
        format!("{} {self}", verbs.join(", "))
    }
}

/// What and where.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.resource),
            None => write!(f, "{} in all namespaces", self.resource),
        }
    }
}

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
    rights
}
