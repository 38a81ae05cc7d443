//! What the resources' statuses say, and what went wrong on the way to saying it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{self, Task, UnknownKind};
use super::{gauge_value, start};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    task: &'static str,
}

/// Metrics of the resources as a whole.
#[derive(Debug)]
pub struct ResourceMetrics {
    reasons: Vec<&'static str>,
    objects: Family<ReasonLabel, Gauge>,
    outcome_unknown: Family<KindLabel, Gauge>,
    running: Gauge,
    record_failures: Family<CodeLabel, Counter>,
    look_failures: Counter,
    task_failures: Family<TaskLabel, Counter>,
    fingerprint_key_ephemeral: Gauge,
}

impl ResourceMetrics {
    pub(super) fn new(
        reasons: impl IntoIterator<Item = &'static str>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = ResourceMetrics {
            reasons: reasons.into_iter().collect(),
            objects: Family::default(),
            outcome_unknown: Family::default(),
            running: Gauge::default(),
            record_failures: Family::default(),
            look_failures: Counter::default(),
            task_failures: Family::default(),
            fingerprint_key_ephemeral: Gauge::default(),
        };
        metrics.register(registry);
        metrics.start_at_zero();
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "objects",
            "PhoneMigrations by the reason of their Ready condition",
            self.objects.clone(),
        );
        registry.register(
            "outcome_unknown",
            "PhoneMigrations whose outcome is unknown: provisional while a late arrival is possible, overdue when the number cannot be read after that, else final",
            self.outcome_unknown.clone(),
        );
        registry.register(
            "running_tasks",
            "Attempts and observations of open attempts that run in this process",
            self.running.clone(),
        );
        registry.register(
            "record_failures",
            "Failed requests on the way to writing an outcome, conflicts left out, each tried again, by HTTP status of the API server",
            self.record_failures.clone(),
        );
        registry.register(
            "look_failures",
            "Status reads before a first attempt that could not be had",
            self.look_failures.clone(),
        );
        registry.register(
            "task_failures",
            "Attempts that could not begin and observations that could not end because of the API server; each is tried again",
            self.task_failures.clone(),
        );
        registry.register(
            "fingerprint_key_ephemeral",
            "1 if the fingerprint key is lost with this process, so that spent codes are not recognised after it",
            self.fingerprint_key_ephemeral.clone(),
        );
    }

    fn start_at_zero(&self) {
        self.set_objects([]);
        for kind in UnknownKind::ALL {
            self.set_outcome_unknown(kind, 0);
        }
        for code in labels::HTTP_STATUSES {
            start(&self.record_failures, &CodeLabel { code });
        }
        for task in Task::ALL {
            let task = task.as_str();
            start(&self.task_failures, &TaskLabel { task });
        }
    }

    /// Number of resources for each reason; a reason of the closed set that is not named
    /// is 0.
    pub fn set_objects(&self, counts: impl IntoIterator<Item = (&'static str, usize)>) {
        let counts: Vec<(&'static str, usize)> = counts.into_iter().collect();
        for reason in &self.reasons {
            let count = counts.iter().filter(|(r, _)| r == reason).map(|(_, n)| n);
            self.objects
                .get_or_create(&ReasonLabel { reason })
                .set(gauge_value(count.sum()));
        }
    }

    /// Resources in this state of `OutcomeUnknown` now.
    pub fn set_outcome_unknown(&self, kind: UnknownKind, count: usize) {
        let kind = kind.as_str();
        self.outcome_unknown
            .get_or_create(&KindLabel { kind })
            .set(gauge_value(count));
    }

    /// Attempts and observations that run now.
    pub fn set_running(&self, running: usize) {
        self.running.set(gauge_value(running));
    }

    /// Writing an outcome failed and is tried again. `status` is the HTTP status of the
    /// API server; `None` or 0 when there was no reply.
    pub fn record_failure(&self, status: Option<u16>) {
        let code = labels::http_status_label(status);
        self.record_failures
            .get_or_create(&CodeLabel { code })
            .inc();
    }

    /// The status read before a first attempt could not be had.
    pub fn look_failure(&self) {
        self.look_failures.inc();
    }

    /// A task came to no result and is tried again.
    pub fn task_failure(&self, task: Task) {
        let task = task.as_str();
        self.task_failures.get_or_create(&TaskLabel { task }).inc();
    }

    /// The fingerprint key is random and dies with this process.
    pub fn set_fingerprint_key_ephemeral(&self, ephemeral: bool) {
        self.fingerprint_key_ephemeral.set(ephemeral.into());
    }
}
