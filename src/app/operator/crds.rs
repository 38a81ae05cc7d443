//! Waits for the CRDs before the operator asks anything else of the API server.

use std::time::Duration;

use super::Fatal;
use crate::app::served::{self, Served, TYPES};
use crate::cluster::{Cluster, ClusterError};
use crate::telemetry::server::Health;

const EVERY: Duration = Duration::from_secs(2);
/// In checks: one log line a minute.
const SAID_EVERY: u32 = 30;
/// Checks in a row that must find another version before the operator believes it: after an upgrade
/// the API server publishes a CRD some seconds late.
const BELIEVED: u32 = 6;

/// The result of one check.
enum Found {
    Ready,
    /// The reason why the CRDs are not ready yet.
    NotYet(String),
    /// A fault that needs a user.
    Wrong(String),
}

/// Waits until the API server serves both resource types as in this version.
///
/// # Errors
/// When one type is of another version: the API server would then drop parts of what the operator
/// records.
pub(super) async fn wait(cluster: &Cluster, health: &Health) -> Result<(), Fatal> {
    const PART: &str = "CRDs";
    let (mut waits, mut wrong) = (0u32, 0u32);
    loop {
        let why = match read_crds(cluster).await {
            Found::Ready => {
                health.ready(PART);
                return Ok(());
            }
            Found::NotYet(why) => {
                wrong = 0;
                why
            }
            Found::Wrong(why) => {
                wrong += 1;
                if wrong >= BELIEVED {
                    return Err(Fatal(why));
                }
                why
            }
        };
        if waits.is_multiple_of(SAID_EVERY) {
            tracing::warn!(%why, "Waiting");
        }
        health.not_ready(PART, why);
        waits += 1;
        tokio::time::sleep(EVERY).await;
    }
}

async fn read_crds(cluster: &Cluster) -> Found {
    let document = match served::document(cluster).await {
        Ok(document) => document,
        // The operator may lack this right. Then the first list and the first claim show a wrong
        // CRD.
        Err(ClusterError::Forbidden) => {
            tracing::warn!("The schemas of the CRDs may not be read: their version is not checked");
            return Found::Ready;
        }
        Err(error) => {
            return Found::NotYet(format!("the schemas of the CRDs cannot be read: {error}"));
        }
    };
    for of in &TYPES {
        let (name, file) = (of.name(), of.file());
        match of.judge(&document) {
            Served::Fine => {}
            Served::Nothing => {
                return Found::NotYet(format!("the CRD {name} is not installed: apply {file}"));
            }
            Served::Lacks(fields) => {
                return Found::Wrong(format!(
                    "the CRD {name} is of another version and lacks {fields}: apply {file} of \
                     this version"
                ));
            }
        }
    }
    Found::Ready
}
