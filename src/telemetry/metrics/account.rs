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
use prometheus_client::registry::Registry;

use super::labels::{self, Answer};
use super::pauses::Pauses;
use super::{add, add_seconds, gauge_value, start};
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
struct ActionLabel {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

type Histograms = Family<ActionLabel, Histogram, fn() -> Histogram>;
type Number = Gauge<f64, AtomicU64>;

/// Metrics of one account.
#[derive(Debug)]
pub struct AccountMetrics {
    calls: Calls,
    quota: Quota,
    pauses: Mutex<Pauses>,
}

/// Calls to CAMS, and what waits to make one.
#[derive(Debug)]
struct Calls {
    requests: Family<CallLabels, Counter>,
    request_duration: Histograms,
    in_flight: Family<ActionLabel, Gauge>,
    wait: Histograms,
    queue_depth: Family<ActionLabel, Gauge>,
    next_expiry: Number,
}

/// The account's quota, and what keeps the operator from using it.
#[derive(Debug)]
struct Quota {
    limit: Number,
    rate: Family<ActionLabel, Number>,
    hold: Family<CauseLabel, Gauge>,
    braked_pairs: Gauge,
    paused: Gauge,
    paused_time: Counter<f64, AtomicU64>,
}

/// A call to CAMS in flight; dropping it ends the call.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Calls {
    fn new(registry: &mut Registry) -> Self {
        Calls {
            requests: add(
                registry,
                "cams_requests",
                "Calls to CAMS by action and answered code; NotSent: no connection; codes outside the known set are \"other\"",
                Family::default(),
            ),
            request_duration: add_seconds(
                registry,
                "cams_request_duration",
                "Time from letting a call through at its connection to the end of the reply",
                Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            ),
            in_flight: add(
                registry,
                "cams_requests_in_flight",
                "Calls to CAMS that were let through and have not ended",
                Family::default(),
            ),
            wait: add_seconds(
                registry,
                "rate_limiter_wait",
                "Time that a resource waited for its turn in the account's quota, or a status read for its send slot",
                Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
            ),
            queue_depth: add(
                registry,
                "queue_depth",
                "Resources that wait for a turn to submit, and status reads that wait for a send slot",
                Family::default(),
            ),
            next_expiry: add_seconds(
                registry,
                "next_code_expiry",
                "Time until the first code in the queue expires, negative if it has; +Inf when none in the queue has an expiry",
                Number::default(),
            ),
        }
    }
}

impl Quota {
    fn new(registry: &mut Registry) -> Self {
        Quota {
            limit: add(
                registry,
                "quota_calls_per_second",
                "Calls per second and action that the account is configured for; +Inf when unlimited",
                Number::default(),
            ),
            rate: add(
                registry,
                "quota_target_calls_per_second",
                "Calls per second that are aimed at now: less than the quota after a throttle; +Inf when unlimited",
                Family::default(),
            ),
            hold: add(
                registry,
                "account_hold",
                "1 while the account claims no new attempts but those that probe, by cause",
                Family::default(),
            ),
            braked_pairs: add(
                registry,
                "braked_pairs",
                "Pairs of namespace and custSpaceId whose codes go one at a time, since the last ones were refused",
                Gauge::default(),
            ),
            paused: add(
                registry,
                "account_paused",
                "1 while the account is paused after a throttle",
                Gauge::default(),
            ),
            paused_time: add_seconds(
                registry,
                "account_paused",
                "Time that the account was paused after throttles",
                Counter::default(),
            ),
        }
    }
}

fn of(action: Action) -> ActionLabel {
    ActionLabel {
        action: action.name(),
    }
}

impl AccountMetrics {
    /// `registry` adds the account's label.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = AccountMetrics {
            calls: Calls::new(registry),
            quota: Quota::new(registry),
            pauses: Mutex::default(),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for action in Action::ALL {
            for code in labels::answers() {
                let action = action.name();
                start(&self.calls.requests, &CallLabels { action, code });
            }
            start(&self.calls.request_duration, &of(action));
            start(&self.calls.wait, &of(action));
            start(&self.calls.in_flight, &of(action));
            self.set_queue_depth(action, 0);
            self.set_rate(action, None);
        }
        self.set_limit(None);
        self.set_hold(None);
        self.set_next_expiry(None, Timestamp::UNIX_EPOCH);
    }

    /// Counts a call that ended. `took`: the time since the quota let the call through; `None` if
    /// it did not.
    pub fn call(&self, action: Action, answer: Answer<'_>, took: Option<Duration>) {
        let labels = CallLabels {
            action: action.name(),
            code: answer.label(),
        };
        self.calls.requests.get_or_create(&labels).inc();
        if let Some(took) = took {
            self.calls
                .request_duration
                .get_or_create(&of(action))
                .observe(took.as_secs_f64());
        }
    }

    /// Counts a call as in flight from now on.
    pub fn in_flight(&self, action: Action) -> InFlight {
        let gauge = self.calls.in_flight.get_or_create_owned(&of(action));
        gauge.inc();
        InFlight(gauge)
    }

    /// Records how long a resource waited for its turn, or a read for its slot.
    pub fn waited(&self, action: Action, waited: Duration) {
        self.calls
            .wait
            .get_or_create(&of(action))
            .observe(waited.as_secs_f64());
    }

    /// Sets the number of queued resources or reads.
    pub fn set_queue_depth(&self, action: Action, waiting: usize) {
        self.calls
            .queue_depth
            .get_or_create(&of(action))
            .set(gauge_value(waiting));
    }

    /// Sets when the first code in the queue expires.
    pub fn set_next_expiry(&self, at: Option<Timestamp>, now: Timestamp) {
        let left = at.map_or(f64::INFINITY, |at| at.duration_since(now).as_secs_f64());
        self.calls.next_expiry.set(left);
    }

    /// Sets the configured calls per second and action; `None` is unlimited.
    pub fn set_limit(&self, limit: Option<u32>) {
        let limit = limit.map_or(f64::INFINITY, f64::from);
        self.quota.limit.set(limit);
    }

    /// Sets the calls per second that the pacer aims at now; `None` is unlimited.
    pub fn set_rate(&self, action: Action, rate: Option<f64>) {
        self.quota
            .rate
            .get_or_create(&of(action))
            .set(rate.unwrap_or(f64::INFINITY));
    }

    /// Sets the cause of the account's hold; `None` without a hold.
    pub fn set_hold(&self, held: Option<HoldCause>) {
        for cause in HoldCause::ALL {
            let label = CauseLabel {
                cause: cause.as_str(),
            };
            self.quota
                .hold
                .get_or_create(&label)
                .set((held == Some(cause)).into());
        }
    }

    /// Sets the number of pairs whose codes go one at a time.
    pub fn set_braked_pairs(&self, pairs: usize) {
        self.quota.braked_pairs.set(gauge_value(pairs));
    }

    /// Sets the end of the account's pause as of `now`; `None` without a pause. Also counts the
    /// elapsed part of the previous pause: call it regularly, and whenever a pause may have begun.
    pub fn note_pause(&self, now: BootTime, until: Option<BootTime>) {
        self.quota.paused.set(until.is_some().into());
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = pauses.note(now, until);
        self.quota.paused_time.inc_by(passed.as_secs_f64());
    }
}
