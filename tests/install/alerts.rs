//! The alerts: they ask for what the operator shows.

use std::collections::BTreeSet;

use phone_migration_operator::cams::Action;
use phone_migration_operator::metrics::{Answer, Exposition, Metrics};
use phone_migration_operator::reason::Reason;
use serde_json::Value;

use crate::helm::{Helm, chart, ci, only};

/// A scrape in which every series occurs.
fn scrape() -> String {
    let metrics = Metrics::new(Reason::ALL.iter().map(|reason| reason.as_str()));
    let action = Action::ChatappMigrationVerified;
    metrics.call(action, Answer::Code("OK"), std::time::Duration::ZERO);
    metrics.record_failure(None);
    metrics.set_leader("phone-migration-operator", true);
    metrics.render(Exposition::PrometheusText)
}

#[test]
fn every_alert_asks_for_metrics_that_exist() {
    let scrape = scrape();
    let shown: BTreeSet<&str> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let text = std::fs::read_to_string(chart().join("files/alerts.yaml")).unwrap();
    let alerts: Value = serde_yaml_ng::from_str(&text).unwrap();
    let mut seen = BTreeSet::new();
    for group in alerts["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            assert!(seen.insert(name), "{name} twice");
            let asked = metrics_in(rule["expr"].as_str().unwrap());
            assert!(!asked.is_empty(), "{name}");
            for metric in asked {
                assert!(shown.contains(metric.as_str()), "{name}: {metric}");
            }
            assert!(rule["labels"]["severity"].is_string(), "{name}");
            for text in ["summary", "description"] {
                assert!(rule["annotations"][text].is_string(), "{name}");
            }
        }
    }
}

fn metrics_in(expression: &str) -> Vec<String> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("phonemigration_") || word.starts_with("leader_election_"))
        .map(str::to_owned)
        .collect()
}

/// `{{ $labels }}` is Prometheus's to fill in, not Helm's.
#[tokio::test]
async fn the_rule_holds_the_alerts_as_they_are() {
    let helm = Helm::without_cluster().await;
    let objects = helm.objects(&["--values", &ci("full")]).await;
    let rule = only(&objects, "PrometheusRule");
    let text = std::fs::read_to_string(chart().join("files/alerts.yaml")).unwrap();
    let alerts: Value = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(rule["spec"], alerts);
    assert!(rule["spec"].to_string().contains("{{ $labels.namespace }}"));
}
