//! The process's metrics, behind typed methods.
//!
//! Every label comes from a closed set: no phone number, account, namespace or name, so the
//! number of series does not grow with the number of resources. Must not log, wait or
//! decide anything.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

mod exposition;
mod labels;

pub use self::exposition::Exposition;
pub use self::labels::{Answer, UnknownKind, code_label};
use crate::cams::Action;
use crate::fact::HoldCause;

/// Of all metrics of ours.
const PREFIX: &str = "phonemigration";
/// Up to the 10 s that a call may take at most.
const REQUEST_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Up to the hour that two thousand codes and a few pauses may take.
const WAIT_BUCKETS: [f64; 11] = [
    0.05, 0.25, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: &'static str,
}

type Histograms = Family<ActionLabel, Histogram, fn() -> Histogram>;

/// All metrics of the process. Share it with `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reasons: Vec<&'static str>,
    requests: Family<CallLabels, Counter>,
    request_duration: Histograms,
    rate_limiter_wait: Histograms,
    queue_depth: Family<ActionLabel, Gauge>,
    open_attempts: Gauge,
    objects: Family<ReasonLabel, Gauge>,
    outcome_unknown: Family<KindLabel, Gauge>,
    record_failures: Family<CodeLabel, Counter>,
    look_failures: Counter,
    reconcile_errors: Counter,
    fingerprint_key_ephemeral: Gauge,
    account_hold: Family<CauseLabel, Gauge>,
    account_paused: Gauge,
    leader: Family<NameLabel, Gauge>,
}

impl Metrics {
    /// `reasons` is the closed set of reasons for `objects`; each starts at 0, as does every
    /// other gauge, so that an alert on a missing series means a missing process.
    pub fn new(reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let mut metrics = Metrics {
            registry: Registry::default(),
            reasons: reasons.into_iter().collect(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            rate_limiter_wait: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
            queue_depth: Family::default(),
            open_attempts: Gauge::default(),
            objects: Family::default(),
            outcome_unknown: Family::default(),
            record_failures: Family::default(),
            look_failures: Counter::default(),
            reconcile_errors: Counter::default(),
            fingerprint_key_ephemeral: Gauge::default(),
            account_hold: Family::default(),
            account_paused: Gauge::default(),
            leader: Family::default(),
        };
        // Without our prefix: dashboards know it by the name that Go's operators use.
        metrics.registry.register(
            "leader_election_master_status",
            "1 while this process leads by the Lease of this name, 0 while it stands by",
            metrics.leader.clone(),
        );
        metrics.register_calls();
        metrics.register_state();
        metrics.register_failures();
        metrics.start_at_zero();
        metrics
    }

    fn register_calls(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "cams_requests",
            "Requests to CAMS by action and answered code; codes outside the known set are \"other\"",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "cams_request_duration",
            "Time from the send slot to the end of the reply",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register_with_unit(
            "rate_limiter_wait",
            "Time that a resource waited for its turn in the account's quota",
            Unit::Seconds,
            self.rate_limiter_wait.clone(),
        );
    }

    fn register_state(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "queue_depth",
            "Resources that wait for a turn, by action",
            self.queue_depth.clone(),
        );
        registry.register(
            "open_attempts",
            "Attempts that run in this process",
            self.open_attempts.clone(),
        );
        registry.register(
            "objects",
            "PhoneMigrations by the reason of their Ready condition",
            self.objects.clone(),
        );
        registry.register(
            "outcome_unknown",
            "PhoneMigrations whose outcome is unknown: provisional while a late arrival is possible, then final",
            self.outcome_unknown.clone(),
        );
        registry.register(
            "account_hold",
            "1 while the account claims no new attempts, by cause",
            self.account_hold.clone(),
        );
        registry.register(
            "account_paused",
            "1 while the account is paused after a throttle",
            self.account_paused.clone(),
        );
        registry.register(
            "fingerprint_key_ephemeral",
            "1 if the fingerprint key is lost with this process, so that spent codes are not recognised after it",
            self.fingerprint_key_ephemeral.clone(),
        );
        let build_info = Family::<VersionLabel, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build_info.get_or_create(&VersionLabel { version }).set(1);
        registry.register(
            "build_info",
            "Always 1; the label is the version",
            build_info,
        );
    }

    fn register_failures(&mut self) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "record_failures",
            "Failed writes of an outcome, each tried again, by HTTP status of the apiserver",
            self.record_failures.clone(),
        );
        registry.register(
            "look_failures",
            "Status reads before a first attempt that could not be had",
            self.look_failures.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that ended in an error and are tried again",
            self.reconcile_errors.clone(),
        );
    }

    fn start_at_zero(&self) {
        self.set_objects([]);
        for action in Action::ALL {
            self.set_queue_depth(action, 0);
        }
        self.set_account_hold(None);
        for kind in UnknownKind::ALL {
            self.set_outcome_unknown(kind, 0);
        }
    }

    /// One request to CAMS ended, after this long.
    pub fn call(&self, action: Action, answer: Answer<'_>, duration: Duration) {
        let action = action.name();
        let code = answer.label();
        self.requests
            .get_or_create(&CallLabels { action, code })
            .inc();
        self.request_duration
            .get_or_create(&ActionLabel { action })
            .observe(duration.as_secs_f64());
    }

    /// A resource got its turn after this long.
    pub fn rate_limiter_wait(&self, action: Action, waited: Duration) {
        let action = action.name();
        self.rate_limiter_wait
            .get_or_create(&ActionLabel { action })
            .observe(waited.as_secs_f64());
    }

    /// Resources that wait for a turn now.
    pub fn set_queue_depth(&self, action: Action, waiting: usize) {
        let action = action.name();
        self.queue_depth
            .get_or_create(&ActionLabel { action })
            .set(gauge_value(waiting));
    }

    /// Attempts that run in this process now.
    pub fn set_open_attempts(&self, running: usize) {
        self.open_attempts.set(gauge_value(running));
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

    /// Writing an outcome failed and is tried again. `status` is the HTTP status of the
    /// apiserver; `None` or 0 when there was no reply.
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

    /// A reconcile ended in an error.
    pub fn reconcile_error(&self) {
        self.reconcile_errors.inc();
    }

    /// The fingerprint key is random and dies with this process.
    pub fn set_fingerprint_key_ephemeral(&self, ephemeral: bool) {
        self.fingerprint_key_ephemeral.set(ephemeral.into());
    }

    /// What holds the account, if anything.
    pub fn set_account_hold(&self, held: Option<HoldCause>) {
        for cause in HoldCause::ALL {
            self.account_hold
                .get_or_create(&CauseLabel {
                    cause: cause.as_str(),
                })
                .set((held == Some(cause)).into());
        }
    }

    /// The account is paused after a throttle, or no longer.
    pub fn set_account_paused(&self, paused: bool) {
        self.account_paused.set(paused.into());
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

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
