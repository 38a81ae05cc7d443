//! Everything that happened, by one clock: steps of the test, requests and faults of the proxies,
//! and the simulator's ledger. Printed when a case fails.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cams_simulator::{Entry, Simulator};
use fault_proxy::{Log, Request};
use serde_json::{Value, json};

use crate::error::Result;
use crate::world::World;

/// Lines that are printed at most; the last ones show the cause.
const PRINTED: usize = 1000;

/// The sources of the log.
pub(crate) struct EventLog {
    start: Instant,
    /// When the simulator's clock was zero. Both clocks are the system's monotonic one.
    simulator_start: Instant,
    notes: Mutex<Vec<(Instant, String)>>,
    proxies: Mutex<Vec<Log>>,
    broken: AtomicBool,
}

impl EventLog {
    pub(crate) fn new(sim: &Simulator) -> Self {
        let elapsed = Duration::from_micros(sim.now_us());
        let start = Instant::now();
        Self {
            start,
            simulator_start: start.checked_sub(elapsed).unwrap_or(start),
            notes: Mutex::default(),
            proxies: Mutex::default(),
            broken: AtomicBool::new(false),
        }
    }

    pub(crate) fn add(&self, proxy: Log) {
        locked(&self.proxies).push(proxy);
    }
}

/// Time and event; the time is added to the line last.
type Event = (Instant, Value);

impl World {
    /// A step of the test, for the log that is printed when it fails.
    pub fn note(&self, what: impl Display) {
        let mut notes = locked(&self.events.notes);
        notes.push((Instant::now(), what.to_string()));
    }

    /// The events so far: one JSON object per line, ordered by `ms` since this world began. Bodies
    /// are left out except the attempt's id and outcome and the reason.
    pub fn event_log(&self) -> String {
        let log = &self.events;
        let note = |(at, what): &(Instant, String)| (*at, json!({"from": "test", "what": what}));
        let mut events: Vec<Event> = locked(&log.notes).iter().map(note).collect();
        for (n, proxy) in locked(&log.proxies).iter().enumerate() {
            let from = format!("proxy {n}");
            events.extend(proxy.requests().iter().flat_map(|r| of_request(&from, r)));
            let hit = |hit: fault_proxy::Hit| {
                let line = json!({"from": from, "what": "fault", "seq": hit.seq,
                    "rule": &*hit.rule, "event": hit.event, "name": hit.name,
                    "is": facts(&hit.body)});
                (hit.at, line)
            };
            events.extend(proxy.hits().into_iter().map(hit));
        }
        let ledger = self.sim.ledger();
        let entries = ledger.iter().flat_map(|e| of_entry(log.simulator_start, e));
        events.extend(entries);
        events.sort_by_key(|(at, _)| *at);
        let lines = events.into_iter().map(|(at, mut line)| {
            let since = at.saturating_duration_since(log.start);
            line["ms"] = json!(since.as_micros() as f64 / 1000.0);
            format!("{line}\n")
        });
        lines.collect()
    }

    /// Remembers a broken invariant, so that the log is printed.
    pub(crate) fn told<T>(&self, verdict: Result<T>) -> Result<T> {
        if let Err(error) = &verdict {
            self.note(error);
            self.events.broken.store(true, Ordering::Relaxed);
        }
        verdict
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || self.events.broken.load(Ordering::Relaxed) {
            let log = self.event_log();
            let left_out = log.lines().count().saturating_sub(PRINTED);
            eprintln!("--- what happened in {}:", self.namespace);
            if left_out > 0 {
                eprintln!("({left_out} lines left out)");
            }
            for line in log.lines().skip(left_out) {
                eprintln!("{line}");
            }
        }
    }
}

/// A panic of another test while it held the lock leaves usable data.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_request(from: &str, request: &Request) -> Vec<Event> {
    let target = &request.target;
    let line = json!({
        "from": from, "what": "request", "seq": request.seq, "verb": target.verb.to_string(),
        "resource": target.resource, "namespace": target.namespace, "name": target.name,
        "is": facts(&request.body),
    });
    let end = json!({
        "from": from, "what": "reply", "seq": request.seq, "status": request.status,
        "upstream": request.upstream,
    });
    let ended = request.ended.map(|at| (at, end));
    std::iter::once((request.at, line)).chain(ended).collect()
}

/// The small facts of an object.
fn facts(object: &Value) -> Value {
    let status = &object["status"];
    let version = &object["metadata"]["resourceVersion"];
    if object["entries"].is_array() {
        let newest = &object["entries"][0];
        return json!({
            "version": version, "attempt": newest["attemptId"], "outcome": newest["outcome"],
        });
    }
    if status.is_null() {
        return json!({"version": version});
    }
    let attempt = &status["attempt"];
    json!({
        "version": version, "reason": status["reason"], "attempt": attempt["id"],
        "number": attempt["number"], "outcome": attempt["outcome"],
    })
}

fn of_entry(zero: Instant, entry: &Entry) -> Vec<Event> {
    let at = |us: u64| zero + Duration::from_micros(us);
    let line = |what: &str, more: Value| json!({"from": "simulator", "what": what, "seq": entry.seq, "is": more});
    let arrived = json!({
        "action": entry.action, "phone": entry.phone, "nonce": entry.nonce,
        "connection": entry.connection,
    });
    let mut events = vec![(at(entry.arrived_us), line("arrived", arrived))];
    if let Some(us) = entry.executed_us {
        events.push((
            at(us),
            line("executed", json!({"decision": entry.decision})),
        ));
    }
    if let Some(us) = entry.replied_us {
        let reply = json!({
            "status": entry.reply_status, "code": entry.reply_code,
            "delivery": entry.delivery, "decision": entry.decision,
        });
        events.push((at(us), line("replied", reply)));
    }
    events
}
