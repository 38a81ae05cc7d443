//! The Grafana dashboard: a real Prometheus, which scraped a real run, evaluates every query.

use super::alerts::assert_documented;
use super::morning::{elect, prepare, settled};
use super::prometheus::Prometheus;
use super::tools::tools;
use super::*;

const DASHBOARD: &str = "deploy/charts/phone-migration-operator/files/dashboard.json";
/// Panels whose query may be empty in a healthy run: no code with an expiry waits at the end.
const EMPTY_BY_DESIGN: &[&str] = &["First code to expire"];

/// A query of a panel, as Grafana would send it.
pub struct Query {
    /// Of the panel.
    pub title: String,
    /// Of the values.
    pub unit: String,
    /// The name of a line, with labels in double braces.
    pub legend: String,
    /// In PromQL.
    pub text: String,
}

pub fn dashboard() -> Value {
    let text = std::fs::read_to_string(harness::repository().join(DASHBOARD)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All of them, with this interval for rates.
pub fn queries(dashboard: &Value, rate: &str) -> Vec<Query> {
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert_documented(title, query);
            let query = query
                .replace("$__rate_interval", rate)
                .replace("$namespace", ".*");
            assert!(!query.contains('$'), "{title}: {query}");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            queries.push(Query {
                title: title.to_owned(),
                unit: unit.as_str().unwrap().to_owned(),
                legend: target["legendFormat"].as_str().unwrap_or("").to_owned(),
                text: query,
            });
        }
    }
    queries
}

#[tokio::test]
async fn a_real_prometheus_has_data_for_every_query_of_the_dashboard() {
    let queries = queries(&dashboard(), "40s");
    assert!(queries.len() > 30, "{}", queries.len());
    let tools = tools().await;
    let world = World::new(OPERATOR, "dashboard").await.unwrap();
    let lease = elect(&world).await;
    let mut flags = vec!["--signature-validity", "3s"];
    flags.extend(lease.iter().map(String::as_str));
    let mut operator = world.start(&flags).await;
    // Events before the first scrape are in no rate.
    let mut prometheus = Prometheus::start(&tools, &mut operator).await;
    prepare(&world).await;
    settled(&world).await;
    prometheus
        .until("phonemigration_objects{reason=\"Verified\"} == 2 and on () phonemigration_outcome_unknown{kind=\"final\"} == 1")
        .await;
    let mut wrong = Vec::new();
    for Query {
        title, text: query, ..
    } in &queries
    {
        let vector = prometheus.query(query).await;
        let has_data = vector.as_ref().is_ok_and(|vector| {
            let number = |sample: &Value| sample["value"][1].as_str() != Some("NaN");
            vector.iter().any(number)
        });
        if vector.is_err() || has_data == EMPTY_BY_DESIGN.contains(&title.as_str()) {
            wrong.push(format!("{title}: {query}: {vector:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for alert in super::alerts::expressions() {
        prometheus.query(&alert).await.unwrap();
    }
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    world.finish().await.unwrap();
}

#[test]
fn the_dashboard_is_one_that_grafana_can_load() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    for key in ["title", "uid", "time", "templating"] {
        assert!(!dashboard[key].is_null(), "{key}");
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids: Vec<u64> = panels.iter().map(|p| p["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "panel ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        // The query names no data source of one particular Grafana.
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{title}");
    }
    let variable = &dashboard["templating"]["list"][1];
    let query = variable["definition"].as_str().unwrap();
    assert_documented("a variable", query);
}
