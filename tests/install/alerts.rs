//! The alerts in the chart; what they ask for, and when they fire, is tested in `tests/observe`.

use serde_json::Value;

use crate::helm::{Helm, chart, ci, only};

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
