//! The two text forms that scrapers ask for. PURE.

use std::collections::HashSet;

/// A text form of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0, which Prometheus asks for by its `Accept` header.
    OpenMetrics,
    /// Prometheus text 0.0.4, for everything else: curl, promtool, older collectors.
    PrometheusText,
}

impl Exposition {
    /// Chooses by the request's `Accept` header.
    pub fn for_accept(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Exposition::OpenMetrics
        } else {
            Exposition::PrometheusText
        }
    }

    /// The value for the reply's `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Exposition::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Rewrites OpenMetrics as Prometheus text. There the HELP and TYPE lines of a counter carry the
/// samples' full name, with `_total`, and UNIT and EOF do not exist.
pub(super) fn to_prometheus_text(openmetrics: &str) -> String {
    let counters: HashSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        text.push_str(&with_total(line, &counters).unwrap_or_else(|| line.to_owned()));
        text.push('\n');
    }
    text
}

/// The HELP or TYPE line of a counter, with the name that Prometheus text requires.
fn with_total(line: &str, counters: &HashSet<&str>) -> Option<String> {
    let mut words = line.splitn(4, ' ');
    let (hash, keyword, name, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    (hash == "#" && counters.contains(name)).then(|| format!("# {keyword} {name}_total {rest}"))
}
