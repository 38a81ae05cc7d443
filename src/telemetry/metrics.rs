//! The process's metrics, behind typed methods.
//!
//! Every label value comes from a closed set and never holds a phone number, key, namespace or
//! resource name, so the number of series does not grow with the number of resources. Series with
//! known labels start at 0. This module must not log, wait or decide anything.
//!
//! The operator's own metrics begin with `phonemigration_`. The others have the names that Go's
//! operators expose, so that existing dashboards and alerts work. Only values that this process
//! really measures are exposed. `docs/metrics.md` lists the metrics.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};

mod account;
mod apiserver;
mod exposition;
mod labels;
mod pauses;
mod process;
mod reconcile;
mod resources;
mod sign_in;
mod workqueue;

pub use self::account::{AccountMetrics, InFlight};
pub use self::apiserver::ApiserverMetrics;
pub use self::exposition::Exposition;
pub use self::labels::{Answer, Task, UnknownKind, WatchState, code_label};
pub use self::reconcile::{ReconcileMetrics, ReconcileResult, Worker};
pub use self::resources::ResourceMetrics;
pub use self::sign_in::SignInMetrics;
pub use self::workqueue::{Work, WorkqueueMetrics};

/// Prefix of the operator's own metrics.
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
    /// Calls to CAMS, and the state of the account's quota.
    pub account: AccountMetrics,
    /// Sign-ins to Alibaba Cloud.
    pub sign_in: SignInMetrics,
    /// What the resources' statuses report, and failures to write them.
    pub resources: ResourceMetrics,
    /// Reconciles.
    pub reconcile: ReconcileMetrics,
    /// The queue of attempts.
    pub workqueue: WorkqueueMetrics,
    /// Requests to the API server.
    pub apiserver: ApiserverMetrics,
    leader: Family<NameLabel, Gauge>,
}

impl Metrics {
    /// `account` is the account's name in labels; `reasons` is the closed set of reasons of
    /// resources. Each gauge and counter with known labels starts at 0, so a missing series means a
    /// missing process.
    pub fn new(account: &'static str, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let mut registry = Registry::default();
        let leader = add(
            &mut registry,
            "leader_election_master_status",
            "1 while this process leads by the Lease of this name, 0 while it stands by",
            Family::default(),
        );
        let ours = registry.sub_registry_with_prefix(PREFIX);
        let build_info = add(
            ours,
            "build_info",
            "Always 1; the label is the version",
            Family::<VersionLabel, Gauge>::default(),
        );
        let version = env!("CARGO_PKG_VERSION");
        build_info.get_or_create(&VersionLabel { version }).set(1);
        let resources = ResourceMetrics::new(reasons, ours);
        let of_account = ours.sub_registry_with_label(("account".into(), account.into()));
        let sign_in = SignInMetrics::new(of_account);
        let account = AccountMetrics::new(of_account);
        let reconcile = ReconcileMetrics::new(&mut registry);
        let workqueue = WorkqueueMetrics::new(&mut registry);
        let apiserver = ApiserverMetrics::new(&mut registry);
        process::register(&mut registry);
        Metrics {
            registry,
            account,
            sign_in,
            resources,
            reconcile,
            workqueue,
            apiserver,
            leader,
        }
    }

    /// Whether this process is the leader by the Lease of this name, or stands by. Without leader
    /// election the operator never calls it, and the series does not exist.
    pub fn set_leader(&self, name: &'static str, leads: bool) {
        self.leader
            .get_or_create(&NameLabel { name })
            .set(leads.into());
    }

    /// All metrics as text, in the form that the scraper asked for.
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

/// Registers `metric` and returns it, so that each metric is declared in one place.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// As [`add`], for a metric in seconds: its name ends so.
fn add_seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// Creates the series with value 0.
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
