//! The process's metrics, behind typed methods.
//!
//! Every label comes from a closed set: no phone number, key, namespace or name of a resource,
//! so the number of series does not grow with the number of resources. What is known beforehand
//! starts at 0. Must not log, wait or decide anything.
//!
//! Our own metrics begin with `phonemigration_`. The others have the names that Go's operators
//! expose, so that dashboards and alerts for those work here too; only what this process really
//! measures is there. `docs/metrics.md` is their table.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

mod account;
mod apiserver;
mod exposition;
mod labels;
mod pauses;
mod process;
mod reconcile;
mod resources;
mod workqueue;

pub use self::account::{AccountMetrics, InFlight};
pub use self::apiserver::ApiserverMetrics;
pub use self::exposition::Exposition;
pub use self::labels::{Answer, Task, UnknownKind, code_label};
pub use self::reconcile::{ReconcileMetrics, Visited, Worker};
pub use self::resources::ResourceMetrics;
pub use self::workqueue::{Work, WorkqueueMetrics};

/// Of all metrics of ours.
const PREFIX: &str = "phonemigration";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

/// All metrics of the process. Share it with `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Calls to CAMS, and what the account's quota makes of them.
    pub account: AccountMetrics,
    /// What the resources' statuses say, and failures to write them.
    pub resources: ResourceMetrics,
    /// Visits to resources.
    pub reconcile: ReconcileMetrics,
    /// The queue of attempts.
    pub workqueue: WorkqueueMetrics,
    /// Requests to the API server.
    pub apiserver: ApiserverMetrics,
    leader: Family<NameLabel, Gauge>,
}

impl Metrics {
    /// `account` is its name in labels; `reasons` the closed set of reasons of resources. Each
    /// gauge and counter with known labels starts at 0, so that an alert on a missing series
    /// means a missing process.
    pub fn new(account: &'static str, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let mut registry = Registry::default();
        let leader = Family::default();
        registry.register(
            "leader_election_master_status",
            "1 while this process leads by the Lease of this name, 0 while it stands by",
            Family::clone(&leader),
        );
        let build_info = Family::<VersionLabel, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build_info.get_or_create(&VersionLabel { version }).set(1);
        let ours = registry.sub_registry_with_prefix(PREFIX);
        ours.register(
            "build_info",
            "Always 1; the label is the version",
            build_info,
        );
        let account = AccountMetrics::new(account, ours);
        let resources = ResourceMetrics::new(reasons, ours);
        let reconcile = ReconcileMetrics::new(&mut registry);
        let workqueue = WorkqueueMetrics::new(&mut registry);
        let apiserver = ApiserverMetrics::new(&mut registry);
        process::register(&mut registry);
        Metrics {
            registry,
            account,
            resources,
            reconcile,
            workqueue,
            apiserver,
            leader,
        }
    }

    /// This process leads by the Lease of this name, or stands by. Never called without an
    /// election: there is no such series then.
    pub fn set_leader(&self, name: &'static str, leads: bool) {
        self.leader
            .get_or_create(&NameLabel { name })
            .set(leads.into());
    }

    /// Everything as text, in the form that the scraper asked for.
    pub fn render(&self, form: Exposition) -> String {
        let mut openmetrics = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut openmetrics, &self.registry);
        match form {
            Exposition::OpenMetrics => openmetrics,
            Exposition::PrometheusText => exposition::to_prometheus_text(&openmetrics),
        }
    }
}

/// Has the series exist, at 0.
fn start<S, M, C>(family: &Family<S, M, C>, labels: &S)
where
    S: Clone + Eq + std::hash::Hash,
    M: Clone,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create_owned(labels));
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
