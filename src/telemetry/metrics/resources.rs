//! What the resources' statuses report, and failures of the writes and tasks behind them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::{self, Task, UnknownKind, WatchState};
use super::{add, add_seconds, gauge_value, start};

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
struct StateLabel {
    state: &'static str,
}

/// Upper bounds in seconds. A claim is one write, and the attempt gives up after 10 s.
const CLAIM_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    task: &'static str,
}

/// Metrics of all resources together.
#[derive(Debug)]
pub struct ResourceMetrics {
    reasons: Vec<&'static str>,
    objects: Family<ReasonLabel, Gauge>,
    outcome_unknown: Family<KindLabel, Gauge>,
    running: Gauge,
    record_failures: Family<CodeLabel, Counter>,
    pre_read_failures: Counter,
    other_numbers: Counter,
    task_failures: Family<TaskLabel, Counter>,
    ledger_write_failures: Family<CodeLabel, Counter>,
    ledgers: Family<StateLabel, Gauge>,
    watches: Family<StateLabel, Gauge>,
    claim_duration: Histogram,
}

impl ResourceMetrics {
    pub(super) fn new(
        reasons: impl IntoIterator<Item = &'static str>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = ResourceMetrics {
            reasons: reasons.into_iter().collect(),
            objects: add(
                registry,
                "objects",
                "PhoneMigrations by the reason of their Ready condition",
                Family::default(),
            ),
            outcome_unknown: add(
                registry,
                "outcome_unknown",
                "PhoneMigrations whose outcome is unknown: provisional while a late arrival is possible, overdue when the number cannot be read after that, else final",
                Family::default(),
            ),
            running: add(
                registry,
                "running_tasks",
                "Attempts and observations of open attempts that run in this process",
                Gauge::default(),
            ),
            record_failures: add(
                registry,
                "record_failures",
                "Failed requests on the way to writing an outcome, conflicts left out, each tried again, by HTTP status of the API server; 200: stored otherwise than it was written",
                Family::default(),
            ),
            pre_read_failures: add(
                registry,
                "pre_read_failures",
                "Status reads before a first attempt that could not be had",
                Counter::default(),
            ),
            other_numbers: add(
                registry,
                "other_number_replies",
                "Verifications whose reply shows the number otherwise than it was sent",
                Counter::default(),
            ),
            task_failures: add(
                registry,
                "task_failures",
                "Attempts that could not begin and observations that could not end because of the API server; each is tried again",
                Family::default(),
            ),
            ledger_write_failures: add(
                registry,
                "ledger_write_failures",
                "Writes of CodeLedgers that failed, conflicts left out, by HTTP status of the API server; 200: stored otherwise than it was written",
                Family::default(),
            ),
            ledgers: add(
                registry,
                "ledgers",
                "CodeLedgers that this process knows, by whether an entry is open",
                Family::default(),
            ),
            watches: add(
                registry,
                "watches",
                "Watched namespaces, or the one watch of all, by how the watch does",
                Family::default(),
            ),
            claim_duration: add_seconds(
                registry,
                "claim_duration",
                "Time from the signature to the stored claim",
                Histogram::new(CLAIM_BUCKETS),
            ),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        self.set_objects([]);
        for kind in UnknownKind::ALL {
            self.set_outcome_unknown(kind, 0);
        }
        for code in labels::HTTP_STATUSES {
            start(&self.record_failures, &CodeLabel { code });
            start(&self.ledger_write_failures, &CodeLabel { code });
        }
        self.set_ledgers(0, 0);
        for state in WatchState::ALL {
            self.set_watches(state, 0);
        }
        for task in Task::ALL {
            let task = task.as_str();
            start(&self.task_failures, &TaskLabel { task });
        }
    }

    /// Sets the number of resources for each reason; a reason that is missing here becomes 0.
    pub fn set_objects(&self, counts: impl IntoIterator<Item = (&'static str, usize)>) {
        let counts: Vec<(&'static str, usize)> = counts.into_iter().collect();
        for reason in &self.reasons {
            let count = counts.iter().filter(|(r, _)| r == reason).map(|(_, n)| n);
            self.objects
                .get_or_create(&ReasonLabel { reason })
                .set(gauge_value(count.sum()));
        }
    }

    /// Sets the number of resources in this state of `OutcomeUnknown`.
    pub fn set_outcome_unknown(&self, kind: UnknownKind, count: usize) {
        let kind = kind.as_str();
        self.outcome_unknown
            .get_or_create(&KindLabel { kind })
            .set(gauge_value(count));
    }

    /// Sets the number of running attempts and observations.
    pub fn set_running(&self, running: usize) {
        self.running.set(gauge_value(running));
    }

    /// Counts a failed write of an outcome; the operator tries again. `status` is the HTTP status
    /// of the API server; `None` or 0 without a reply.
    pub fn record_failure(&self, status: Option<u16>) {
        let code = labels::http_status_label(status);
        self.record_failures
            .get_or_create(&CodeLabel { code })
            .inc();
    }

    /// Counts a failed pre-read, the status read before a first attempt.
    pub fn pre_read_failure(&self) {
        self.pre_read_failures.inc();
    }

    /// Counts a reply that says verified but shows another number than the sent one.
    pub fn other_number(&self) {
        self.other_numbers.inc();
    }

    /// Counts a task that ended without a result; the operator tries again.
    pub fn task_failure(&self, task: Task) {
        let task = task.as_str();
        self.task_failures.get_or_create(&TaskLabel { task }).inc();
    }

    /// Counts a failed write of a ledger. `status` is the HTTP status of the API server; `None`
    /// without a reply.
    pub fn ledger_write_failure(&self, status: Option<u16>) {
        let code = labels::http_status_label(status);
        self.ledger_write_failures
            .get_or_create(&CodeLabel { code })
            .inc();
    }

    /// Sets the number of ledgers with and without an open entry.
    pub fn set_ledgers(&self, open: usize, ended: usize) {
        for (state, count) in [("open", open), ("ended", ended)] {
            self.ledgers
                .get_or_create(&StateLabel { state })
                .set(gauge_value(count));
        }
    }

    /// Sets the number of watches in this state.
    pub fn set_watches(&self, state: WatchState, count: usize) {
        let state = state.as_str();
        self.watches
            .get_or_create(&StateLabel { state })
            .set(gauge_value(count));
    }

    /// Records how long a stored claim took.
    pub fn claimed(&self, took: std::time::Duration) {
        self.claim_duration.observe(took.as_secs_f64());
    }
}
