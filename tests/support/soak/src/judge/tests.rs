//! Each promise, broken on purpose.
#![allow(clippy::unwrap_used)]
use harness::cams_simulator::{Delivery, READ_STATUS};
use serde_json::json;

use super::*;
use crate::evidence::tests::{nothing, submission};

const NOBODY: &str = "nobody";

/// These rows, each claimed before it was sent.
fn claimed(rows: Vec<Entry>) -> Evidence {
    let mut evidence = nothing();
    for row in &rows {
        let claim = (NOBODY.to_owned(), row.arrived_at);
        evidence.claims.insert(row.nonce.clone().unwrap(), claim);
    }
    evidence.ledger = rows;
    evidence
}

fn found(evidence: &Evidence) -> Vec<String> {
    let (violations, _) = judge(evidence, 0.0);
    violations.into_iter().map(|found| found.what).collect()
}

#[track_caller]
fn says(evidence: &Evidence, words: &str) {
    let found = found(evidence);
    let says = found.iter().any(|f| f.contains(words));
    assert!(says, "{words}: {found:?}");
}

fn request(verb: &str, name: &str, ms: i64) -> AuditEntry {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap();
    AuditEntry {
        timestamp: at,
        stage_timestamp: at,
        verb: verb.to_owned(),
        resource: "secrets".to_owned(),
        namespace: "tenant-0".to_owned(),
        name: name.to_owned(),
        code: 200,
        ..AuditEntry::default()
    }
}

#[test]
fn one_execution_after_its_claim_is_right() {
    assert_eq!(
        found(&claimed(vec![submission(5, Decision::Accepted)])),
        [""; 0]
    );
}

#[test]
fn two_executions_of_a_code_and_two_requests_of_an_attempt_are_found() {
    let twice = claimed(vec![
        submission(5, Decision::Refused),
        submission(6, Decision::Refused),
    ]);
    says(&twice, "EXECUTED TWICE");
    let copy = claimed(vec![
        submission(5, Decision::Refused),
        submission(5, Decision::Rejected),
    ]);
    says(&copy, "arrived 2 times");
}

#[test]
fn a_request_without_a_claim_or_before_it_is_found() {
    let mut evidence = claimed(vec![submission(5, Decision::Accepted)]);
    for (_, at) in evidence.claims.values_mut() {
        *at += std::time::Duration::from_secs(1);
    }
    says(&evidence, "claim was written after");
    evidence.claims.clear();
    says(&evidence, "without a claim");
}

#[test]
fn throttles_of_the_quota_are_found_in_steady_spells() {
    let mut read = submission(5, Decision::Throttled);
    read.action = READ_STATUS.to_owned();
    says(&claimed(vec![read]), "1 of 1 calls of steady spells");
}

#[test]
fn a_loop_and_a_foreign_request_are_found() {
    let mut evidence = nothing();
    let often = (0..=100).map(|n| request("get", "m7-code", n * 90));
    evidence.requests = often.collect();
    says(&evidence, "tenant-0/m7: 101 API requests within 10 s");
    evidence.requests = vec![request("list", "", 0)];
    says(&evidence, "a request that must not be: list");
}

#[test]
fn a_code_in_a_log_is_found() {
    let mut evidence = nothing();
    evidence.objects = vec![json!({"metadata": {"name": "m7"}})];
    let code = crate::cast::code(7, 3);
    evidence.texts = vec![("log 1".to_owned(), format!("VerifyCode={code}&"))];
    says(&evidence, "LEAK");
}

#[test]
fn proof_shows_no_whole_code() {
    let mut lost = submission(5, Decision::Accepted);
    lost.delivery = Delivery::Reset;
    let mut evidence = claimed(vec![lost]);
    let spec = json!({"phoneNumber": "8613800000007"});
    let metadata = json!({"name": "m7", "uid": NOBODY});
    evidence.objects = vec![json!({"metadata": metadata, "spec": spec, "status": {}})];
    let (violations, _) = judge(&evidence, 0.0);
    let lost = |found: &Violation| found.what.contains("outcome lost");
    assert!(violations.iter().any(lost));
    let proof = violations.into_iter().flat_map(|found| found.proof);
    let proof: Vec<_> = proof.collect();
    assert!(!proof.is_empty() && !proof.join("\n").contains("12345678"));
}
