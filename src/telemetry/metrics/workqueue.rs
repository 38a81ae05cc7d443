//! The queue of attempts, under the names that Go's work queues use.
//!
//! This queue is the account's: resources with a usable code that wait for their turn. The
//! scheduler inside kube-rs corresponds to the work queue of a Go controller, but it exposes no
//! counts.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::account::WAIT_BUCKETS;
use super::reconcile::CONTROLLER;
use super::{add, add_seconds, gauge_value};

type Seconds = Gauge<f64, AtomicU64>;

/// Metrics of the queue of attempts.
#[derive(Debug)]
pub struct WorkqueueMetrics {
    depth: Gauge,
    adds: Counter,
    queue_duration: Histogram,
    work_duration: Histogram,
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
        let registry = registry
            .sub_registry_with_prefix("workqueue")
            .sub_registry_with_labels(
                [("controller", CONTROLLER), ("name", "attempts")]
                    .map(|(label, value)| (label.into(), value.into()))
                    .into_iter(),
            );
        WorkqueueMetrics {
            depth: add(
                registry,
                "depth",
                "Resources that wait for their turn to submit",
                Gauge::default(),
            ),
            adds: add(
                registry,
                "adds",
                "Resources that began to wait for a turn",
                Counter::default(),
            ),
            queue_duration: add_seconds(
                registry,
                "queue_duration",
                "Time that a resource waited for its turn",
                Histogram::new(WAIT_BUCKETS),
            ),
            work_duration: add_seconds(
                registry,
                "work_duration",
                "Duration of an attempt, from its turn to its recorded outcome",
                Histogram::new(WAIT_BUCKETS),
            ),
            unfinished: add_seconds(
                registry,
                "unfinished_work",
                "Time that the attempts in progress have run, all together",
                Seconds::default(),
            ),
            longest: add_seconds(
                registry,
                "longest_running_processor",
                "Time that the oldest attempt in progress has run",
                Seconds::default(),
            ),
            running: Arc::default(),
        }
    }

    /// Counts a resource that begins to wait.
    pub fn added(&self) {
        self.adds.inc();
    }

    /// Sets the number of resources that wait now.
    pub fn set_depth(&self, waiting: usize) {
        self.depth.set(gauge_value(waiting));
    }

    /// An attempt begins after the resource waited this long.
    pub fn begun(&self, waited: Duration) -> Work {
        self.queue_duration.observe(waited.as_secs_f64());
        let since = Instant::now();
        let mut running = lock(&self.running);
        let number = running.next;
        running.next += 1;
        running.since.insert(number, since);
        Work {
            running: Arc::clone(&self.running),
            number,
            since,
            duration: self.work_duration.clone(),
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
        self.unfinished.set(all);
        self.longest.set(longest);
    }
}
