//! Sign-ins to Alibaba Cloud and the resulting key.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{add, add_seconds, labels, start};
use crate::cams::sts::StsAction;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    action: &'static str,
    code: &'static str,
}

/// Metrics of one account's sign-ins.
#[derive(Debug)]
pub struct SignInMetrics {
    requests: Family<RequestLabels, Counter>,
    expiry: Gauge<f64, AtomicU64>,
}

impl SignInMetrics {
    /// `registry` adds the account's label.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: add(
                registry,
                "sts_requests",
                "Requests to STS by action and answered code; NotSent: nothing to ask with; NoReply: no connection, or no complete reply; codes outside the known set are \"other\"",
                Family::default(),
            ),
            expiry: add_seconds(
                registry,
                "credentials_expiry",
                "Time until the use of the temporary key in use ends; 0 when it has, or there is none yet; +Inf with an AccessKey",
                Gauge::default(),
            ),
        };
        for action in [StsAction::AssumeRoleWithOidc, StsAction::AssumeRole] {
            let action = action.name();
            for code in labels::sts_answers() {
                start(&metrics.requests, &RequestLabels { action, code });
            }
        }
        metrics.set_expiry(None);
        metrics
    }

    /// Counts a request that ended with this `Code`, or with a word of the operator's own.
    pub fn request(&self, action: StsAction, code: &str) {
        let labels = RequestLabels {
            action: action.name(),
            code: labels::sts_code_label(code),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Sets how long the current key stays valid; `None`: it does not expire.
    pub fn set_expiry(&self, left: Option<Duration>) {
        let left = left.map_or(f64::INFINITY, |left| left.as_secs_f64());
        self.expiry.set(left);
    }
}
