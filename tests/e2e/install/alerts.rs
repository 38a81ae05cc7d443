//! The alerts in the chart; `tests/e2e/observe` tests their queries and when they fire.

use super::helm::{Helm, chart, ci, only};
use super::*;

const ENABLED: [&str; 2] = ["--set", "prometheusRule.enabled=true"];

/// The result of `absent` has only the labels of its selector: without the namespace another
/// installation would keep this alert silent.
const DOWN: &str = "absent(phonemigration_build_info{namespace=\"phone-migration-operator\"})";

/// Prometheus fills in `{{ $labels }}`, not Helm.
#[tokio::test]
async fn the_rule_holds_the_alerts_as_they_are_but_for_the_namespace_of_one() {
    let helm = Helm::without_cluster().await;
    let objects = helm.objects(&ENABLED).await;
    let rule = only(&objects, "PrometheusRule");
    let text = std::fs::read_to_string(chart().join("files/alerts.yaml")).unwrap();
    let mut alerts: Value = serde_yaml_ng::from_str(&text).unwrap();
    let down = &mut alerts["groups"][0]["rules"][0];
    assert_eq!(down["alert"], "PhoneMigrationOperatorDown");
    let expression = down["expr"].as_str().unwrap();
    assert!(
        expression.starts_with("absent(phonemigration_build_info) or"),
        "{expression}"
    );
    down["expr"] = expression
        .replace("absent(phonemigration_build_info)", DOWN)
        .into();
    assert_eq!(rule["spec"], alerts);
    // No other query uses `absent`.
    assert_eq!(text.matches("absent").count(), 1);
    // A path in a repository is not a URL, so it must not be a link.
    assert!(!rule["spec"].to_string().contains("runbook_url"));
    assert!(rule["spec"].to_string().contains("{{ $labels.namespace }}"));
}

#[tokio::test]
async fn every_alert_links_to_its_runbook_wherever_the_pages_are() {
    let helm = Helm::without_cluster().await;
    let objects = helm.objects(&["--values", &ci("full")]).await;
    let rules = &only(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"];
    let rules = rules.as_array().unwrap();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let page = format!("https://git.example.com/runbooks/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], page.as_str());
    }
}

/// The port of the collector is the one in its URL, or that of the scheme.
#[tokio::test]
async fn traces_get_out_to_the_collectors_port() {
    let helm = Helm::without_cluster().await;
    for (endpoint, port) in [
        ("https://collector.example.com", 443),
        ("http://collector", 80),
        ("http://[fd00::1]:4319/otlp", 4319),
    ] {
        let set = format!("networkPolicy.enabled=true,tracing.otlpEndpoint={endpoint}");
        let objects = helm.set(&set).await;
        let egress = &only(&objects, "NetworkPolicy")["spec"]["egress"];
        let collector = egress.as_array().unwrap().last().unwrap();
        assert_eq!(collector["ports"][0]["port"], port, "{endpoint}");
        assert_eq!(collector["to"], Value::Null);
    }
}
