//! Reconciles, under the names that Go's controller-runtime uses.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{gauge_value, start};

/// The label that dashboards for controllers select by.
pub(super) const CONTROLLER: &str = "phonemigration";
/// A reconcile makes at most a few requests of 5 s at most.
const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

const LABEL: ControllerLabel = ControllerLabel {
    controller: CONTROLLER,
};

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
    total: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabel, Counter>,
    panics: Family<ControllerLabel, Counter>,
    time: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    workers: Family<ControllerLabel, Gauge>,
    most: Family<ControllerLabel, Gauge>,
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
        let metrics = ReconcileMetrics {
            total: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            time: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            workers: Family::default(),
            most: Family::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("controller_runtime"));
        for result in ReconcileResult::ALL {
            let result = result.result();
            let labels = ResultLabels {
                controller: CONTROLLER,
                result,
            };
            start(&metrics.total, &labels);
        }
        start(&metrics.errors, &LABEL);
        start(&metrics.panics, &LABEL);
        start(&metrics.time, &LABEL);
        start(&metrics.workers, &LABEL);
        start(&metrics.most, &LABEL);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "reconcile",
            "Reconciles by result: success waits for a change, requeue_after for a time or a change",
            self.total.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that ended in an error and are made again",
            self.errors.clone(),
        );
        registry.register(
            "reconcile_panics",
            "Reconciles that panicked; the process goes on",
            self.panics.clone(),
        );
        registry.register_with_unit(
            "reconcile_time",
            "Duration of a reconcile; attempts run in tasks of their own and are not in it",
            Unit::Seconds,
            self.time.clone(),
        );
        registry.register(
            "active_workers",
            "Reconciles that run now",
            self.workers.clone(),
        );
        registry.register(
            "max_concurrent_reconciles",
            "Reconciles that may run at the same time, all watched namespaces together",
            self.most.clone(),
        );
    }

    /// A reconcile begins.
    pub fn worker(&self) -> Worker {
        let gauge = self.workers.get_or_create_owned(&LABEL);
        gauge.inc();
        Worker(gauge)
    }

    /// A reconcile ended, after this long.
    pub fn reconciled(&self, result: ReconcileResult, took: Duration) {
        let labels = ResultLabels {
            controller: CONTROLLER,
            result: result.result(),
        };
        self.total.get_or_create(&labels).inc();
        self.time.get_or_create(&LABEL).observe(took.as_secs_f64());
        match result {
            ReconcileResult::Success | ReconcileResult::RequeueAfter => {}
            ReconcileResult::Error => {
                self.errors.get_or_create(&LABEL).inc();
            }
            ReconcileResult::Panic => {
                self.errors.get_or_create(&LABEL).inc();
                self.panics.get_or_create(&LABEL).inc();
            }
        }
    }

    /// How many reconciles may run at the same time.
    pub fn set_most(&self, most: usize) {
        self.most.get_or_create(&LABEL).set(gauge_value(most));
    }
}
