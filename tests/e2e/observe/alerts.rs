//! The alerts: each fires in a unit test of promtool's, names a runbook that exists, and queries
//! only metrics that exist.

use std::collections::BTreeSet;
use std::path::PathBuf;

use phone_migration_operator::cams::Verdict;
use phone_migration_operator::cams::classify::classify;
use phone_migration_operator::cams::wire::{ApiBody, Reply};
use phone_migration_operator::telemetry::metrics::{Exposition, Metrics};

use super::metrics::documented;
use super::prometheus::Prometheus;
use super::tools::{promtool, tools};
use super::*;

const ALERTS: &str = "deploy/charts/phone-migration-operator/files/alerts.yaml";
const TESTS: &str = "tests/alerts/alerts.yaml";

fn path(path: &str) -> PathBuf {
    harness::repository().canonicalize().unwrap().join(path)
}

fn yaml(file: &str) -> Value {
    let text = std::fs::read_to_string(path(file)).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn rules() -> Vec<Value> {
    let file = yaml(ALERTS);
    let rules = list(&file["groups"]).iter().flat_map(|g| list(&g["rules"]));
    rules.cloned().collect()
}

/// The expression of one alert.
fn expression(alert: &str) -> String {
    let rules = rules();
    let rule = rules.iter().find(|rule| name(rule) == alert).unwrap();
    rule["expr"].as_str().unwrap().to_owned()
}

/// The expressions of the alerts.
pub fn expressions() -> Vec<String> {
    let rules = rules();
    let expressions = rules.iter().map(|rule| rule["expr"].as_str().unwrap());
    expressions.map(str::to_owned).collect()
}

fn name(rule: &Value) -> &str {
    rule["alert"].as_str().unwrap()
}

/// The metric names in an expression: words before `{`, `[` or `)` with the operator's prefixes.
pub fn metrics_in(expression: &str) -> BTreeSet<String> {
    let prefixes = [
        "phonemigration_",
        "controller_runtime_",
        "workqueue_",
        "rest_client_",
        "leader_election_",
        "process_",
    ];
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// Panics if the expression names a metric that the operator does not have.
pub fn assert_documented(what: &str, expression: &str) {
    let known: BTreeSet<String> = documented().iter().flat_map(|f| f.samples()).collect();
    let asked = metrics_in(expression);
    assert!(!asked.is_empty(), "{what}: {expression}");
    for metric in asked {
        assert!(
            known.contains(&metric),
            "{what}: {metric} is not in docs/metrics.md"
        );
    }
}

#[tokio::test]
async fn promtool_accepts_the_rules_and_the_unit_tests_pass() {
    let tools = tools().await;
    let rules = path(ALERTS);
    promtool(&tools, &["check", "rules", rules.to_str().unwrap()], "").unwrap();
    let tests = path(TESTS);
    promtool(&tools, &["test", "rules", tests.to_str().unwrap()], "")
        .unwrap_or_else(|said| panic!("{said}"));
}

/// The condition of an alert ends when a person did what its runbook says. Its `for` is the unit
/// tests' matter.
#[tokio::test]
async fn an_alert_clears_after_its_runbook_was_followed() {
    let tools = tools().await;
    let world = World::new(OPERATOR, "runbook").await.unwrap();
    let mut operator = world.start(&[]).await;
    let mut prometheus = Prometheus::start(&tools, &mut operator).await;
    let alert = expression("PhoneMigrationNeedsPerson");
    prometheus.until_none(&alert).await;
    let (number, right, wrong) = ("8613800001234", "40718265", "40718266");
    world.offer("store-42", number, wrong, right).await;
    reason(&world, "store-42", "CodeRejected").await;
    prometheus.until(&alert).await;

    // "Put a new code into the Secret"; the annotation has it read at once.
    world.replace_code("store-42", right).await;
    reason(&world, "store-42", "Verified").await;
    prometheus.until_none(&alert).await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    world.finish().await.unwrap();
}

#[test]
fn every_alert_has_a_severity_texts_and_a_runbook_and_no_runbook_is_left_over() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = name(&rule).to_owned();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap();
            assert!(text.len() > 20, "{name}");
        }
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(runbook, format!("docs/runbooks/{name}.md"));
        let page = std::fs::read_to_string(path(runbook)).unwrap();
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for head in ["## Meaning", "## How to check", "## What to do"] {
            assert!(page.contains(head), "{head} in docs/runbooks/{name}.md");
        }
        assert!(names.insert(name));
    }
    let pages = std::fs::read_dir(path("docs/runbooks")).unwrap();
    for page in pages {
        let file = page.unwrap().file_name().into_string().unwrap();
        let page = file.strip_suffix(".md").unwrap();
        assert!(names.contains(page), "docs/runbooks/{file} has no alert");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_silent_in_a_unit_test() {
    let file = yaml(TESTS);
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for test in list(&file["tests"])
        .iter()
        .flat_map(|t| list(&t["alert_rule_test"]))
    {
        let name = test["alertname"].as_str().unwrap().to_owned();
        let expected = list(&test["exp_alerts"]);
        assert!(
            expected.iter().all(|e| e["exp_annotations"].is_object()),
            "{name}"
        );
        if expected.is_empty() {
            silent.insert(name);
        } else {
            fires.insert(name);
        }
    }
    let names: BTreeSet<String> = rules().iter().map(|r| name(r).to_owned()).collect();
    assert_eq!(fires, names, "alerts that fire in a unit test");
    assert_eq!(silent, names, "alerts that are silent in a unit test");
}

#[test]
fn alerts_ask_only_for_metrics_that_exist() {
    for rule in rules() {
        assert_documented(name(&rule), rule["expr"].as_str().unwrap());
    }
    // The unit tests' made-up series too: a misspelt one would test nothing.
    let file = yaml(TESTS);
    for series in list(&file["tests"])
        .iter()
        .flat_map(|t| list(&t["input_series"]))
    {
        let series = series["series"].as_str().unwrap();
        assert_documented("a unit test", series);
    }
}

/// Whether a reply with this code ends an attempt as refused.
fn is_refusal(code: &str) -> bool {
    let reply = Reply {
        status: 400,
        date: None,
        retry_after: None,
        api: Some(ApiBody {
            request_id: None,
            code: code.to_owned(),
            message: None,
            phone_number: None,
            id: None,
            code_verification_status: None,
        }),
    };
    matches!(classify(Ok(reply), "1").verdict, Verdict::Refused(_))
}

/// The other answers spend no code. This check also covers a label that a metric gets later.
#[test]
fn refused_codes_are_counted_by_the_labels_that_mean_a_refusal() {
    let rules = rules();
    let alert = rules
        .iter()
        .find(|r| name(r) == "PhoneMigrationCodesRefused");
    let expression = alert.unwrap()["expr"].as_str().unwrap();
    let filters: Vec<&str> = expression
        .split("code=~\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let [refused, judged, enough] = filters.as_slice() else {
        panic!("{filters:?}");
    };
    assert_eq!((*judged, judged), (&*format!("OK|{refused}"), enough));
    let counts = |label: &str| {
        refused
            .split('|')
            .any(|part| match part.strip_suffix(".*") {
                Some(stem) => label.starts_with(stem),
                None => label == part,
            })
    };
    let text = Metrics::new("default", []).render(Exposition::PrometheusText);
    let labels: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("phonemigration_cams_requests_total{"))
        .map(|line| line.split("code=\"").nth(1).unwrap())
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(labels.len() > 30, "{labels:?}");
    for label in labels {
        let wanted = match label {
            // No answer of CAMS, and Codes that are in no list.
            "NotTheApi" | "NoReply" | "NotSent" => false,
            "other" => true,
            code => is_refusal(code),
        };
        assert_eq!(counts(label), wanted, "{label}");
    }
}

#[test]
fn metrics_are_found_in_expressions() {
    let found = metrics_in("sum by (x) (rate(phonemigration_a_total{y=\"z\"}[5m])) > process_b");
    let wanted = ["phonemigration_a_total", "process_b"];
    assert_eq!(found, wanted.map(str::to_owned).into());
}
