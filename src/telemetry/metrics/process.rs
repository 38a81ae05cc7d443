//! Metrics of the process itself: those that every Prometheus client library exposes, and the
//! dropped lines of its log. Each scrape reads them.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::process::Resource;
use rustix::time::ClockId;

use crate::clock;
use crate::telemetry::dropped_lines;

/// The fields are read once; each scrape reads the values that change.
#[derive(Debug)]
struct Process {
    started: Option<f64>,
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process { started: started() }));
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut one = |name, help, unit: Option<Unit>, value: Value| {
            let metric = match value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
            };
            let encoder = encoder.encode_descriptor(name, help, unit.as_ref(), metric)?;
            match value {
                Value::Counter(value) => ConstCounter::new(value).encode(encoder),
                Value::Gauge(value) => ConstGauge::new(value).encode(encoder),
            }
        };
        let cpu = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
        one(
            "process_cpu",
            "CPU time that the process has used, user and system.",
            Some(Unit::Seconds),
            Value::Counter(seconds(cpu)),
        )?;
        if let Some(started) = self.started {
            one(
                "process_start_time",
                "When the process started, since the Unix epoch.",
                Some(Unit::Seconds),
                Value::Gauge(started),
            )?;
        }
        if let Some((virtual_size, resident)) = memory() {
            one(
                "process_virtual_memory",
                "Virtual memory size.",
                Some(Unit::Bytes),
                Value::Gauge(virtual_size),
            )?;
            one(
                "process_resident_memory",
                "Resident memory size.",
                Some(Unit::Bytes),
                Value::Gauge(resident),
            )?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One descriptor belongs to the listing itself.
            let open = open.count().saturating_sub(1);
            one(
                "process_open_fds",
                "Open file descriptors.",
                None,
                Value::Gauge(number(open as u64)),
            )?;
        }
        one(
            "phonemigration_log_lines_dropped",
            "Log lines that the operator dropped because the reader of stderr was too slow.",
            None,
            Value::Counter(number(dropped_lines())),
        )?;
        let most = rustix::process::getrlimit(Resource::Nofile).current;
        one(
            "process_max_fds",
            "File descriptors that may be open at most; +Inf when unlimited.",
            None,
            Value::Gauge(most.map_or(f64::INFINITY, number)),
        )
    }
}

enum Value {
    Counter(f64),
    Gauge(f64),
}

#[allow(clippy::cast_precision_loss)] // Exact up to 2^53, as everything in Prometheus.
fn number(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss)] // As above.
fn seconds(time: rustix::time::Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Virtual and resident size in bytes.
fn memory() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_ascii_whitespace().map(|n| n.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    let mut bytes = || Some(number(pages.next()?? * page));
    Some((bytes()?, bytes()?))
}

/// When the process started: both the kernel and this crate's clock count from boot.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold any character; fields 3 to 52 follow it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(22 - 3)?.parse().ok()?;
    let since_boot = number(ticks) / number(rustix::param::clock_ticks_per_second());
    let now = clock::now();
    let boot = now.boot.saturating_sub(clock::BootTime::ZERO).as_secs_f64();
    let wall = now.wall.as_duration().as_secs_f64();
    Some(wall - boot + since_boot)
}
