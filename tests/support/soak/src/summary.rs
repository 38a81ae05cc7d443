//! The end: a table for people, one line of JSON, and the violations.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use harness::cams_simulator::{Decision, Summary, VERIFIED};
use harness::{Error, Result, reason};
use serde_json::{Map, Value, json};

use crate::evidence::Evidence;
use crate::judge::{Figures, MEMORY_LIMIT_KIB, Violation, judge};
use crate::plan::{Step, What};
use crate::replicas::Usage;
use crate::tenants::Tenants;

/// Violations printed with their proof; all are in the folder.
const SHOWN: usize = 20;

/// The facts in addition to the evidence.
pub struct Report<'a> {
    pub seed: u64,
    pub minutes: f64,
    pub qps: u32,
    /// Percentage of the calls of steady spells that the quota may throttle.
    pub throttles: f64,
    pub took: Duration,
    pub settled: Duration,
    pub steps: &'a [Step],
    pub usage: Usage,
    pub tenants: &'a Tenants,
    /// Problems found during the run.
    pub problems: Vec<String>,
}

impl Report<'_> {
    /// Judges and prints; true if every promise was kept.
    pub async fn print(&self, evidence: &Evidence, dir: &Path) -> Result<bool> {
        let (mut violations, figures) = judge(evidence, self.throttles);
        violations.extend(self.problems.iter().cloned().map(Violation::bare));
        if self.usage.most_kib > MEMORY_LIMIT_KIB {
            let what = format!("an operator used {} KiB", self.usage.most_kib);
            violations.push(Violation::bare(what));
        }
        let mut all = Map::new();
        self.add_tenants(&mut all).await;
        self.add_faults(&mut all);
        add_ledger(&mut all, evidence);
        add_figures(&mut all, &figures);
        all.insert("maxRssMiB".to_owned(), json!(self.usage.most_kib / 1024));
        all.insert("violations".to_owned(), json!(violations.len()));
        for (name, value) in &all {
            println!("{name:>24}  {value}");
        }
        let texts: Vec<String> = violations.iter().map(Violation::text).collect();
        let file = dir.join("violations.txt");
        std::fs::write(file, texts.concat()).map_err(Error::at("violations"))?;
        for text in texts.iter().take(SHOWN) {
            print!("{text}");
        }
        let line = Value::Object(all);
        std::fs::write(dir.join("summary.json"), line.to_string()).map_err(Error::at("summary"))?;
        println!("{line}");
        Ok(violations.is_empty())
    }

    async fn add_tenants(&self, all: &mut Map<String, Value>) {
        let (mut recreated, mut rotated) = (0, 0);
        for subject in self.tenants.subjects() {
            let subject = subject.lock().await;
            recreated += subject.recreated;
            rotated += subject.rotated;
        }
        let mut add = |name: &str, value| drop(all.insert(name.to_owned(), value));
        add("seed", json!(self.seed));
        add("minutes", json!(self.minutes));
        add("quota", json!(self.qps));
        add("tookSeconds", json!(self.took.as_secs()));
        add("settledSeconds", json!(self.settled.as_secs()));
        add("resources", json!(self.tenants.count()));
        add("recreated", json!(recreated));
        add("rotated", json!(rotated));
    }

    fn add_faults(&self, all: &mut Map<String, Value>) {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for step in self.steps {
            if let What::Fault(fault) = &step.what {
                *kinds.entry(fault.kind()).or_default() += 1;
            }
        }
        let faults: usize = kinds.values().sum();
        all.insert("faults".to_owned(), json!(faults));
        all.insert("faultsByKind".to_owned(), json!(kinds));
        all.insert("operatorStarts".to_owned(), json!(self.usage.starts));
    }
}

fn add_ledger(all: &mut Map<String, Value>, evidence: &Evidence) {
    let summary = Summary::of(evidence.ledger.iter());
    let calls = evidence.ledger.iter().filter(|row| row.action == VERIFIED);
    let mut decisions: BTreeMap<String, usize> = BTreeMap::new();
    let mut lost = 0;
    for row in calls {
        *decisions.entry(format!("{:?}", row.decision)).or_default() += 1;
        let executed = matches!(row.decision, Decision::Accepted | Decision::Refused);
        lost += usize::from(executed && !harness::books::replied(row));
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &evidence.objects {
        *reasons.entry(reason(&object["status"])).or_default() += 1;
    }
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &evidence.objects {
        let status = &object["status"];
        let history = status["history"].as_array().into_iter().flatten();
        let last = &status["attempt"];
        let newest = history
            .clone()
            .any(|entry| entry["attemptId"] == last["id"]);
        for said in history.chain((!newest).then_some(last)) {
            *outcomes
                .entry(said["outcome"].as_str().unwrap_or("none"))
                .or_default() += 1;
        }
    }
    let mut add = |name: &str, value| drop(all.insert(name.to_owned(), value));
    add("outcomes", json!(outcomes));
    add("submissions", json!(decisions));
    add(
        "executedPerCodeAtMost",
        json!(summary.max_executed_per_code),
    );
    add("executedReplyLost", json!(lost));
    add(
        "statusReads",
        json!(summary.total.received - summary.action(VERIFIED).counts.received),
    );
    add("reasons", json!(reasons));
}

fn add_figures(all: &mut Map<String, Value>, figures: &Figures) {
    let mut add = |name: &str, value| drop(all.insert(name.to_owned(), value));
    add("refusalsHeard", json!(figures.heard));
    add("refusalsExcused", json!(figures.excused));
    add("throttledByQuota", json!(figures.throttled_by_quota));
    add("throttledSteady", json!(figures.throttled_steady));
    add("callsSteady", json!(figures.calls_steady));
    add("worstSteadySecond", json!(figures.worst_steady_second));
    let mean = (figures.requests_per_second * 10.0).round() / 10.0;
    add("apiRequestsPerSecond", json!(mean));
    add("apiWorstSecond", json!(figures.worst_requests_second));
    add("apiMostPerResource", json!(figures.most_requests));
    add("apiMostIn10s", json!(figures.most_requests_in_ten));
}
