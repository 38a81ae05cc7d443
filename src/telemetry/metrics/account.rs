//! Calls to CAMS and the account's quota.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{self, Answer};
use super::pauses::Pauses;
use super::{gauge_value, start};
use crate::cams::Action;
use crate::clock::BootTime;
use crate::domain::fact::HoldCause;

/// Up to the 10 s limit of a call.
const REQUEST_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Up to an hour, which two thousand codes and a few pauses may take.
pub(super) const WAIT_BUCKETS: [f64; 11] = [
    0.05, 0.25, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabel {
    account: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    account: &'static str,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    account: &'static str,
    action: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    account: &'static str,
    cause: &'static str,
}

type Histograms = Family<ActionLabels, Histogram, fn() -> Histogram>;
type Number = Gauge<f64, AtomicU64>;

/// Metrics of one account.
#[derive(Debug)]
pub struct AccountMetrics {
    account: &'static str,
    requests: Family<CallLabels, Counter>,
    request_duration: Histograms,
    in_flight: Family<ActionLabels, Gauge>,
    wait: Histograms,
    queue_depth: Family<ActionLabels, Gauge>,
    limit: Family<AccountLabel, Number>,
    rate: Family<ActionLabels, Number>,
    hold: Family<CauseLabels, Gauge>,
    braked_pairs: Family<AccountLabel, Gauge>,
    paused: Family<AccountLabel, Gauge>,
    paused_time: Family<AccountLabel, Counter<f64, AtomicU64>>,
    next_expiry: Family<AccountLabel, Number>,
    pauses: Mutex<Pauses>,
}

/// A call to CAMS in flight; dropping it ends the call.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl AccountMetrics {
    pub(super) fn new(account: &'static str, registry: &mut Registry) -> Self {
        let metrics = AccountMetrics {
            account,
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            in_flight: Family::default(),
            wait: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
            queue_depth: Family::default(),
            limit: Family::default(),
            rate: Family::default(),
            hold: Family::default(),
            braked_pairs: Family::default(),
            paused: Family::default(),
            paused_time: Family::default(),
            next_expiry: Family::default(),
            pauses: Mutex::default(),
        };
        metrics.register_calls(registry);
        metrics.register_quota(registry);
        metrics.start_at_zero();
        metrics
    }

    fn register_calls(&self, registry: &mut Registry) {
        registry.register(
            "cams_requests",
            "Calls to CAMS by action and answered code; NotSent: no connection; codes outside the known set are \"other\"",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "cams_request_duration",
            "Time from letting a call through at its connection to the end of the reply",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register(
            "cams_requests_in_flight",
            "Calls to CAMS that were let through and have not ended",
            self.in_flight.clone(),
        );
        registry.register_with_unit(
            "rate_limiter_wait",
            "Time that a resource waited for its turn in the account's quota, or a status read for its send slot",
            Unit::Seconds,
            self.wait.clone(),
        );
        registry.register(
            "queue_depth",
            "Resources that wait for a turn to submit, and status reads that wait for a send slot",
            self.queue_depth.clone(),
        );
        registry.register_with_unit(
            "next_code_expiry",
            "Time until the first code in the queue expires, negative if it has; +Inf when none in the queue has an expiry",
            Unit::Seconds,
            self.next_expiry.clone(),
        );
    }

    fn register_quota(&self, registry: &mut Registry) {
        registry.register(
            "quota_calls_per_second",
            "Calls per second and action that the account is configured for; +Inf when unlimited",
            self.limit.clone(),
        );
        registry.register(
            "quota_target_calls_per_second",
            "Calls per second that are aimed at now: less than the quota after a throttle; +Inf when unlimited",
            self.rate.clone(),
        );
        registry.register(
            "account_hold",
            "1 while the account claims no new attempts but those that probe, by cause",
            self.hold.clone(),
        );
        registry.register(
            "braked_pairs",
            "Pairs of namespace and custSpaceId whose codes go one at a time, since the last ones were refused",
            self.braked_pairs.clone(),
        );
        registry.register(
            "account_paused",
            "1 while the account is paused after a throttle",
            self.paused.clone(),
        );
        registry.register_with_unit(
            "account_paused",
            "Time that the account was paused after throttles",
            Unit::Seconds,
            self.paused_time.clone(),
        );
    }

    fn start_at_zero(&self) {
        for action in Action::ALL {
            for code in labels::answers() {
                start(&self.requests, &self.call_labels(action, code));
            }
            let labels = self.action(action);
            start(&self.request_duration, &labels);
            start(&self.wait, &labels);
            start(&self.in_flight, &labels);
            self.set_queue_depth(action, 0);
            self.set_rate(action, None);
        }
        self.set_limit(None);
        self.set_hold(None);
        self.set_braked_pairs(0);
        start(&self.paused, &self.label());
        start(&self.paused_time, &self.label());
        self.set_next_expiry(None, Timestamp::UNIX_EPOCH);
    }

    fn label(&self) -> AccountLabel {
        AccountLabel {
            account: self.account,
        }
    }

    fn action(&self, action: Action) -> ActionLabels {
        ActionLabels {
            account: self.account,
            action: action.name(),
        }
    }

    fn call_labels(&self, action: Action, code: &'static str) -> CallLabels {
        CallLabels {
            account: self.account,
            action: action.name(),
            code,
        }
    }

    /// Counts a call that ended. `took`: the time since the quota let the call through; `None` if
    /// it did not.
    pub fn call(&self, action: Action, answer: Answer<'_>, took: Option<Duration>) {
        self.requests
            .get_or_create(&self.call_labels(action, answer.label()))
            .inc();
        if let Some(took) = took {
            self.request_duration
                .get_or_create(&self.action(action))
                .observe(took.as_secs_f64());
        }
    }

    /// Counts a call as in flight from now on.
    pub fn in_flight(&self, action: Action) -> InFlight {
        let gauge = self.in_flight.get_or_create_owned(&self.action(action));
        gauge.inc();
        InFlight(gauge)
    }

    /// Records how long a resource waited for its turn, or a read for its slot.
    pub fn waited(&self, action: Action, waited: Duration) {
        self.wait
            .get_or_create(&self.action(action))
            .observe(waited.as_secs_f64());
    }

    /// Sets the number of queued resources or reads.
    pub fn set_queue_depth(&self, action: Action, waiting: usize) {
        self.queue_depth
            .get_or_create(&self.action(action))
            .set(gauge_value(waiting));
    }

    /// Sets when the first code in the queue expires.
    pub fn set_next_expiry(&self, at: Option<Timestamp>, now: Timestamp) {
        let left = at.map_or(f64::INFINITY, |at| at.duration_since(now).as_secs_f64());
        self.next_expiry.get_or_create(&self.label()).set(left);
    }

    /// Sets the configured calls per second and action; `None` is unlimited.
    pub fn set_limit(&self, limit: Option<u32>) {
        let limit = limit.map_or(f64::INFINITY, f64::from);
        self.limit.get_or_create(&self.label()).set(limit);
    }

    /// Sets the calls per second that the pacer aims at now; `None` is unlimited.
    pub fn set_rate(&self, action: Action, rate: Option<f64>) {
        self.rate
            .get_or_create(&self.action(action))
            .set(rate.unwrap_or(f64::INFINITY));
    }

    /// Sets the cause of the account's hold; `None` without a hold.
    pub fn set_hold(&self, held: Option<HoldCause>) {
        for cause in HoldCause::ALL {
            let labels = CauseLabels {
                account: self.account,
                cause: cause.as_str(),
            };
            self.hold
                .get_or_create(&labels)
                .set((held == Some(cause)).into());
        }
    }

    /// Sets the number of pairs whose codes go one at a time.
    pub fn set_braked_pairs(&self, pairs: usize) {
        self.braked_pairs
            .get_or_create(&self.label())
            .set(gauge_value(pairs));
    }

    /// Sets the end of the account's pause as of `now`; `None` without a pause. Also counts the
    /// elapsed part of the previous pause: call it regularly, and whenever a pause may have begun.
    pub fn note_pause(&self, now: BootTime, until: Option<BootTime>) {
        self.paused
            .get_or_create(&self.label())
            .set(until.is_some().into());
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = pauses.note(now, until);
        self.paused_time
            .get_or_create(&self.label())
            .inc_by(passed.as_secs_f64());
    }
}
