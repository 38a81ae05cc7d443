//! The verdict: every promise, from the evidence alone.

use std::collections::{BTreeMap, HashMap};

use harness::AuditEntry;
use harness::agreement::{Broken, Run};
use harness::books::{self, Books};
use harness::cams_simulator::{Decision, Entry, VERIFIED, worst_second};

use crate::evidence::Evidence;
use crate::leaks;

/// Requests for one resource within ten seconds above which it loops: a reconcile needs a handful.
const HOT: usize = 100;
/// The memory limit of the shipped Deployment, KiB.
pub const MEMORY_LIMIT_KIB: u64 = 256 * 1024;

/// A broken promise, with its proof.
pub struct Violation {
    pub what: String,
    pub proof: Vec<String>,
}

impl Violation {
    /// Without a proof.
    pub fn bare(what: String) -> Self {
        let proof = Vec::new();
        Self { what, proof }
    }

    /// In lines.
    pub fn text(&self) -> String {
        let proof = self.proof.iter().map(|line| format!("    {line}\n"));
        format!("VIOLATION {}\n{}", self.what, proof.collect::<String>())
    }
}

/// Figures in addition to the verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Refusals whose reply surely reached a process that lived on.
    pub heard: usize,
    /// Refusals whose reply may have reached no process.
    pub excused: usize,
    pub throttled_by_quota: usize,
    /// Of those, in steady spells.
    pub throttled_steady: usize,
    pub calls_steady: usize,
    /// Most calls of one action in any second of a steady spell.
    pub worst_steady_second: u64,
    pub requests_per_second: f64,
    pub worst_requests_second: usize,
    /// Most requests for one resource in all.
    pub most_requests: usize,
    /// Most requests for one resource within ten seconds.
    pub most_requests_in_ten: usize,
}

/// Judges.
///
/// `throttles`: percentage of the calls of steady spells that the quota may throttle.
pub fn judge(evidence: &Evidence, throttles: f64) -> (Vec<Violation>, Figures) {
    let mut figures = Figures::default();
    let mut found = outcomes(evidence);
    found.extend(claims(evidence));
    found.extend(quota(evidence, throttles, &mut figures));
    found.extend(requests(evidence, &mut figures));
    found.extend(leaks::find(evidence).into_iter().map(Violation::bare));
    let refusals = evidence.ledger.iter().filter(|row| {
        row.action == VERIFIED && row.decision == Decision::Refused && books::replied(row)
    });
    let (heard, excused): (Vec<_>, Vec<_>) = refusals.partition(|row| evidence.heard(row));
    (figures.heard, figures.excused) = (heard.len(), excused.len());
    (found, figures)
}

/// Every status against the ledger, field by field, and no code or request sent twice.
fn outcomes(evidence: &Evidence) -> Vec<Violation> {
    let books = Books::of(&evidence.ledger);
    let run = Run {
        ledger: &evidence.ledger,
        objects: &evidence.objects,
        numbers: &evidence.numbers,
        heard: &|row| evidence.heard(row),
        own: &|row, uid| {
            let claim = evidence.claims.get(nonce(row));
            claim.is_some_and(|(of, _)| of == uid)
        },
    };
    let proven = |Broken { phone, what }| {
        let proof = proof(evidence, &books, &phone);
        Violation { what, proof }
    };
    run.broken().into_iter().map(proven).collect()
}

/// The statuses and the ledger's rows of a number, without codes.
fn proof(evidence: &Evidence, books: &Books<'_>, phone: &str) -> Vec<String> {
    let objects = evidence.objects.iter();
    let objects = objects.filter(|object| object["spec"]["phoneNumber"] == phone);
    let mut lines: Vec<String> = objects
        .map(|object| format!("status {}", object["status"]))
        .collect();
    let rows = books.of_number(phone).iter().chain(books.reads_of(phone));
    lines.extend(rows.map(|row| {
        let mut row = (**row).clone();
        row.code = row
            .code
            .map(|code| format!("…{}", code.get(6..).unwrap_or_default()));
        format!("row {}", serde_json::to_string(&row).unwrap_or_default())
    }));
    lines
}

/// No request without a claim before it.
fn claims(evidence: &Evidence) -> Vec<Violation> {
    let calls = evidence.ledger.iter().filter(|row| row.action == VERIFIED);
    let unclaimed = |row: &Entry| {
        let what = match evidence.claims.get(nonce(row)) {
            Some((_, at)) if *at <= row.arrived_at => return None,
            Some(_) => "its claim was written after it was sent",
            None => "sent without a claim",
        };
        Some(Violation::bare(format!("row {}: {what}", row.seq)))
    };
    calls.filter_map(unclaimed).collect()
}

fn nonce(row: &Entry) -> &str {
    row.nonce.as_deref().unwrap_or_default()
}

/// The calls of one action that the quota throttles while calls arrive evenly.
fn quota(evidence: &Evidence, throttles: f64, figures: &mut Figures) -> Option<Violation> {
    let by_quota = evidence
        .ledger
        .iter()
        .filter(|row| books::throttled_by_quota(row));
    let steady = |row: &&Entry| evidence.is_steady(row.arrived_us);
    figures.throttled_by_quota = by_quota.clone().count();
    figures.throttled_steady = by_quota.filter(steady).count();
    let mut times: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for row in evidence.ledger.iter().filter(steady) {
        times.entry(&row.action).or_default().extend(row.counted_us);
    }
    figures.calls_steady = times.values().map(Vec::len).sum();
    let worst = times.values().map(|times| worst_second(times)).max();
    figures.worst_steady_second = worst.unwrap_or_default();
    #[allow(clippy::cast_precision_loss)]
    let percent = figures.throttled_steady as f64 * 100.0 / figures.calls_steady.max(1) as f64;
    (percent > throttles).then(|| {
        Violation::bare(format!(
            "{} of {} calls of steady spells were over the quota ({percent:.2} %)",
            figures.throttled_steady, figures.calls_steady
        ))
    })
}

/// Only granted requests, and no hot loop.
fn requests(evidence: &Evidence, figures: &mut Figures) -> Vec<Violation> {
    let mut seconds: HashMap<i64, usize> = HashMap::new();
    let mut of: HashMap<(&str, String), Vec<i64>> = HashMap::new();
    let mut found = Vec::new();
    for request in &evidence.requests {
        *seconds.entry(request.timestamp.as_second()).or_default() += 1;
        if let Some(name) = subject(request) {
            let times = of.entry((&request.namespace, name)).or_default();
            times.push(request.timestamp.as_millisecond());
        }
        if !harness::is_granted(request, false) {
            let what = format!(
                "a request that must not be: {} {}",
                request.verb, request.uri
            );
            found.push(Violation::bare(what));
        }
    }
    for ((namespace, name), times) in &mut of {
        times.sort_unstable();
        let in_ten = most_within(times, 10_000);
        figures.most_requests = figures.most_requests.max(times.len());
        figures.most_requests_in_ten = figures.most_requests_in_ten.max(in_ten);
        if in_ten > HOT {
            let what = format!("{namespace}/{name}: {in_ten} API requests within 10 s");
            found.push(Violation::bare(what));
        }
    }
    let first = seconds.keys().min().copied().unwrap_or_default();
    let last = seconds.keys().max().copied().unwrap_or_default();
    figures.worst_requests_second = seconds.values().max().copied().unwrap_or_default();
    #[allow(clippy::cast_precision_loss)]
    let mean = evidence.requests.len() as f64 / (last - first + 1) as f64;
    figures.requests_per_second = mean;
    found
}

/// The PhoneMigration or CodeLedger of a request.
fn subject(request: &AuditEntry) -> Option<String> {
    let name = match request.resource.as_str() {
        "phonemigrations" | "codeledgers" => &request.name,
        "secrets" => request.name.strip_suffix("-code")?,
        _ => return None,
    };
    (!name.is_empty()).then(|| name.to_owned())
}

fn most_within(times: &[i64], window: i64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, end) in times.iter().enumerate() {
        while times.get(first).is_some_and(|begin| begin + window < *end) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests;
