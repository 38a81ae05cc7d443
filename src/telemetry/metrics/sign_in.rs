//! Sign-ins to Alibaba Cloud and the resulting key.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{labels, start};
use crate::cams::sts::StsAction;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabel {
    account: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    account: &'static str,
    action: &'static str,
    code: &'static str,
}

/// Metrics of one account's sign-ins.
#[derive(Debug)]
pub struct SignInMetrics {
    account: &'static str,
    requests: Family<RequestLabels, Counter>,
    expiry: Family<AccountLabel, Gauge<f64, AtomicU64>>,
}

impl SignInMetrics {
    pub(super) fn new(account: &'static str, registry: &mut Registry) -> Self {
        let metrics = Self {
            account,
            requests: Family::default(),
            expiry: Family::default(),
        };
        registry.register(
            "sts_requests",
            "Requests to STS by action and answered code; NotSent: nothing to ask with; NoReply: no connection, or no complete reply; codes outside the known set are \"other\"",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "credentials_expiry",
            "Time until the use of the temporary key in use ends; 0 when it has, or there is none yet; +Inf with an AccessKey",
            Unit::Seconds,
            metrics.expiry.clone(),
        );
        for action in [StsAction::AssumeRoleWithOidc, StsAction::AssumeRole] {
            for code in labels::sts_answers() {
                start(&metrics.requests, &metrics.labels(action, code));
            }
        }
        metrics.set_expiry(None);
        metrics
    }

    fn labels(&self, action: StsAction, code: &'static str) -> RequestLabels {
        RequestLabels {
            account: self.account,
            action: action.name(),
            code,
        }
    }

    /// Counts a request that ended with this `Code`, or with a word of the operator's own.
    pub fn request(&self, action: StsAction, code: &str) {
        let labels = self.labels(action, labels::sts_code_label(code));
        self.requests.get_or_create(&labels).inc();
    }

    /// Sets how long the current key stays valid; `None`: it does not expire.
    pub fn set_expiry(&self, left: Option<Duration>) {
        let labels = AccountLabel {
            account: self.account,
        };
        let left = left.map_or(f64::INFINITY, |left| left.as_secs_f64());
        self.expiry.get_or_create(&labels).set(left);
    }
}
