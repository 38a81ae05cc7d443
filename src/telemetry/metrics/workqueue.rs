//! The queue of attempts, under the names that Go's work queues use.
//!
//! This queue is the account's: resources with a usable code that wait for their turn. The
//! scheduler inside kube-rs corresponds to the work queue of a Go controller, but it exposes no
//! counts.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::account::WAIT_BUCKETS;
use super::reconcile::CONTROLLER;
use super::{gauge_value, start};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    controller: &'static str,
    name: &'static str,
}

const LABELS: QueueLabels = QueueLabels {
    controller: CONTROLLER,
    name: "attempts",
};

type Histograms = Family<QueueLabels, Histogram, fn() -> Histogram>;
type Seconds = Family<QueueLabels, Gauge<f64, AtomicU64>>;

/// Metrics of the queue of attempts.
#[derive(Debug)]
pub struct WorkqueueMetrics {
    depth: Family<QueueLabels, Gauge>,
    adds: Family<QueueLabels, Counter>,
    queue_duration: Histograms,
    work_duration: Histograms,
    unfinished: Seconds,
    longest: Seconds,
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    since: HashMap<u64, Instant>,
}

/// A running attempt; dropping it ends the attempt.
#[derive(Debug)]
pub struct Work {
    running: Arc<Mutex<Running>>,
    number: u64,
    since: Instant,
    duration: Histogram,
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Work {
    fn drop(&mut self) {
        lock(&self.running).since.remove(&self.number);
        self.duration.observe(self.since.elapsed().as_secs_f64());
    }
}

impl WorkqueueMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let histograms = || Histograms::new_with_constructor(|| Histogram::new(WAIT_BUCKETS));
        let metrics = WorkqueueMetrics {
            depth: Family::default(),
            adds: Family::default(),
            queue_duration: histograms(),
            work_duration: histograms(),
            unfinished: Family::default(),
            longest: Family::default(),
            running: Arc::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("workqueue"));
        start(&metrics.depth, &LABELS);
        start(&metrics.adds, &LABELS);
        start(&metrics.queue_duration, &LABELS);
        start(&metrics.work_duration, &LABELS);
        metrics.refresh();
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "depth",
            "Resources that wait for their turn to submit",
            self.depth.clone(),
        );
        registry.register(
            "adds",
            "Resources that began to wait for a turn",
            self.adds.clone(),
        );
        registry.register_with_unit(
            "queue_duration",
            "Time that a resource waited for its turn",
            Unit::Seconds,
            self.queue_duration.clone(),
        );
        registry.register_with_unit(
            "work_duration",
            "Duration of an attempt, from its turn to its recorded outcome",
            Unit::Seconds,
            self.work_duration.clone(),
        );
        registry.register_with_unit(
            "unfinished_work",
            "Time that the attempts in progress have run, all together",
            Unit::Seconds,
            self.unfinished.clone(),
        );
        registry.register_with_unit(
            "longest_running_processor",
            "Time that the oldest attempt in progress has run",
            Unit::Seconds,
            self.longest.clone(),
        );
    }

    /// Counts a resource that begins to wait.
    pub fn added(&self) {
        self.adds.get_or_create(&LABELS).inc();
    }

    /// Sets the number of resources that wait now.
    pub fn set_depth(&self, waiting: usize) {
        self.depth.get_or_create(&LABELS).set(gauge_value(waiting));
    }

    /// An attempt begins after the resource waited this long.
    pub fn begun(&self, waited: Duration) -> Work {
        self.queue_duration
            .get_or_create(&LABELS)
            .observe(waited.as_secs_f64());
        let since = Instant::now();
        let mut running = lock(&self.running);
        let number = running.next;
        running.next += 1;
        running.since.insert(number, since);
        Work {
            running: Arc::clone(&self.running),
            number,
            since,
            duration: self.work_duration.get_or_create_owned(&LABELS),
        }
    }

    /// Updates the gauges that grow with time.
    pub fn refresh(&self) {
        let running = lock(&self.running);
        let (mut all, mut longest) = (0.0, 0.0_f64);
        for since in running.since.values() {
            let age = since.elapsed().as_secs_f64();
            all += age;
            longest = longest.max(age);
        }
        self.unfinished.get_or_create(&LABELS).set(all);
        self.longest.get_or_create(&LABELS).set(longest);
    }
}
