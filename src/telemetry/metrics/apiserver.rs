//! Requests to the API server, under the names that Go's client uses.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{add, add_seconds, start};

/// As in Go's client: up to a minute, which only watches and lists can take here.
const BUCKETS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0,
];

/// The HTTP methods that this operator uses.
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "PATCH"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    host: String,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    host: String,
    verb: &'static str,
}

/// Metrics of the API server's client.
#[derive(Debug)]
pub struct ApiserverMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<VerbLabels, Histogram, fn() -> Histogram>,
}

impl ApiserverMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("rest_client");
        ApiserverMetrics {
            requests: add(
                registry,
                "requests",
                "Requests to the API server by HTTP status, method and host; <error>: no reply",
                Family::default(),
            ),
            duration: add_seconds(
                registry,
                "request_duration",
                "Time to the head of the API server's reply; a watch's events come after it",
                Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            ),
        }
    }

    /// Starts each method's duration at 0 for this host.
    pub fn start(&self, host: &str) {
        for verb in METHODS {
            let host = host.to_owned();
            start(&self.duration, &VerbLabels { host, verb });
        }
    }

    /// Counts a request with its HTTP status (`None`: no reply) and its duration. `host` is the API
    /// server of the configuration.
    pub fn request(&self, method: &str, host: &str, status: Option<u16>, took: Duration) {
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        let code = status.map_or_else(|| "<error>".to_owned(), |status| status.to_string());
        let host = host.to_owned();
        let labels = VerbLabels {
            host: host.clone(),
            verb: method,
        };
        self.duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let labels = RequestLabels { code, host, method };
        self.requests.get_or_create(&labels).inc();
    }
}
