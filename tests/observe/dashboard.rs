//! The Grafana dashboard: a real Prometheus, which scraped a real run, evaluates every query.

use std::process::Stdio;
use std::time::Duration;

use harness::{Operator, World};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::alerts::assert_documented;
use crate::morning::{OPERATOR, elect, prepare, settled};
use crate::tools::find;

const DASHBOARD: &str = "deploy/charts/phone-migration-operator/files/dashboard.json";
/// Panels whose query may give nothing in a run in which all is well: no code with an expiry
/// waits at the end.
const EMPTY_BY_DESIGN: &[&str] = &["First code to expire"];

fn dashboard() -> Value {
    let text = std::fs::read_to_string(harness::repository().join(DASHBOARD)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Title of the panel, and its query as Grafana would send it.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
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
                .replace("$__rate_interval", "40s")
                .replace("$namespace", ".*");
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

/// A Prometheus server on loopback; killed when dropped.
struct Prometheus {
    _child: Child,
    dir: TempDir,
    port: u16,
}

impl Prometheus {
    /// Scrapes this operator every second.
    async fn start(operator: &mut Operator) -> Self {
        let dir = TempDir::new().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: operator\n  \
             static_configs:\n  - targets: [\"{}\"]\n    labels: {{namespace: cams, pod: operator-0}}\n",
            operator.address().unwrap()
        );
        let file = dir.path().join("prometheus.yaml");
        std::fs::write(&file, config).unwrap();
        let port = free_port();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(find("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let prometheus = Self {
            _child: child,
            dir,
            port,
        };
        prometheus.until("phonemigration_build_info == 1").await;
        prometheus
    }

    /// The instant vector that the query gives now.
    async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let output = Command::new(find("promtool"))
            .args(["query", "instant", "--format=json"])
            .arg(format!("http://127.0.0.1:{}", self.port))
            .arg(query)
            .output()
            .await
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let vector: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(vector.as_array().cloned().unwrap_or_default())
    }

    /// Waits until the query gives something.
    async fn until(&self, query: &str) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let last = self.query(query).await;
            if last.as_ref().is_ok_and(|vector| !vector.is_empty()) {
                return;
            }
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "{query}: {last:?}\n{log}");
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_real_prometheus_has_data_for_every_query_of_the_dashboard() {
    let queries = queries(&dashboard());
    assert!(queries.len() > 30, "{}", queries.len());
    let world = World::new(OPERATOR, "dashboard").await.unwrap();
    let lease = elect(&world).await;
    let mut flags = vec!["--signature-validity", "3s"];
    flags.extend(lease.iter().map(String::as_str));
    let mut operator = world.operator(&flags).await.unwrap();
    // What happens before the first scrape is in no rate.
    let prometheus = Prometheus::start(&mut operator).await;
    prepare(&world).await;
    settled(&world).await;
    prometheus
        .until("phonemigration_objects{reason=\"Verified\"} == 2 and on () phonemigration_outcome_unknown{kind=\"final\"} == 1")
        .await;
    let mut wrong = Vec::new();
    for (title, query) in &queries {
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
    for alert in crate::alerts::expressions() {
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
        // No data source of somebody's own Grafana.
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
