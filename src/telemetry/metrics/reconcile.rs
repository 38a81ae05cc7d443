//! Reconciles, under the names that Go's controller-runtime uses.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{add, add_seconds, gauge_value, start};

/// The label that dashboards for controllers select by.
pub(super) const CONTROLLER: &str = "phonemigration";
/// A reconcile makes at most a few requests of 5 s at most.
const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileResult {
    /// Nothing to do until something changes.
    Success,
    /// Requeued after a time.
    RequeueAfter,
    /// An error; requeued after a back-off.
    Error,
    /// A panic; it counts as an error too.
    Panic,
}

impl ReconcileResult {
    const ALL: [ReconcileResult; 4] = [
        ReconcileResult::Success,
        ReconcileResult::RequeueAfter,
        ReconcileResult::Error,
        ReconcileResult::Panic,
    ];

    fn result(self) -> &'static str {
        match self {
            ReconcileResult::Success => "success",
            ReconcileResult::RequeueAfter => "requeue_after",
            ReconcileResult::Error | ReconcileResult::Panic => "error",
        }
    }
}

/// Metrics of the controller.
#[derive(Debug)]
pub struct ReconcileMetrics {
    total: Family<ResultLabel, Counter>,
    errors: Counter,
    panics: Counter,
    time: Histogram,
    workers: Gauge,
    most: Gauge,
}

/// A running reconcile; dropping it ends the reconcile.
#[derive(Debug)]
pub struct Worker(Gauge);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ReconcileMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let registry = registry
            .sub_registry_with_prefix("controller_runtime")
            .sub_registry_with_label(("controller".into(), CONTROLLER.into()));
        let metrics = ReconcileMetrics {
            total: add(
                registry,
                "reconcile",
                "Reconciles by result: success waits for a change, requeue_after for a time or a change",
                Family::default(),
            ),
            errors: add(
                registry,
                "reconcile_errors",
                "Reconciles that ended in an error and are made again",
                Counter::default(),
            ),
            panics: add(
                registry,
                "reconcile_panics",
                "Reconciles that panicked; the process goes on",
                Counter::default(),
            ),
            time: add_seconds(
                registry,
                "reconcile_time",
                "Duration of a reconcile; attempts run in tasks of their own and are not in it",
                Histogram::new(BUCKETS),
            ),
            workers: add(
                registry,
                "active_workers",
                "Reconciles that run now",
                Gauge::default(),
            ),
            most: add(
                registry,
                "max_concurrent_reconciles",
                "Reconciles that may run at the same time, all watched namespaces together",
                Gauge::default(),
            ),
        };
        for result in ReconcileResult::ALL {
            let result = result.result();
            start(&metrics.total, &ResultLabel { result });
        }
        metrics
    }

    /// A reconcile begins.
    pub fn worker(&self) -> Worker {
        self.workers.inc();
        Worker(self.workers.clone())
    }

    /// A reconcile ended, after this long.
    pub fn reconciled(&self, result: ReconcileResult, took: Duration) {
        let label = ResultLabel {
            result: result.result(),
        };
        self.total.get_or_create(&label).inc();
        self.time.observe(took.as_secs_f64());
        match result {
            ReconcileResult::Success | ReconcileResult::RequeueAfter => {}
            ReconcileResult::Error => {
                self.errors.inc();
            }
            ReconcileResult::Panic => {
                self.errors.inc();
                self.panics.inc();
            }
        }
    }

    /// How many reconciles may run at the same time.
    pub fn set_most(&self, most: usize) {
        self.most.set(gauge_value(most));
    }
}
