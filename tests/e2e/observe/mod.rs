//! The operator's telemetry: metrics, alerts, dashboard, logs, traces and its own check. Judged by
//! real tools: promtool and a Prometheus server that scraped a real run.

mod alerts;
mod check;
mod collector;
mod dashboard;
mod logs;
mod metrics;
mod morning;
mod picture;
mod prometheus;
mod queue;
mod scrape;
mod tools;
mod traces;

use harness::cases::*;

use crate::OPERATOR;
