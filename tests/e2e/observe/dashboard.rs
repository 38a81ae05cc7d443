//! The Grafana dashboard: a real Prometheus, which scraped a real run, evaluates every query.

use std::process::Stdio;
use std::time::Duration;

use cluster_tools::PrometheusTools;
use harness::{Operator, World};
use reqwest::{Client, Url};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::alerts::assert_documented;
use super::morning::{OPERATOR, elect, prepare, settled};
use super::tools::tools;

const DASHBOARD: &str = "deploy/charts/phone-migration-operator/files/dashboard.json";
/// Panels whose query may be empty in a healthy run: no code with an expiry waits at the end.
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
    child: Child,
    dir: TempDir,
    http: Client,
}

impl Prometheus {
    /// Scrapes this operator every second.
    async fn start(tools: &PrometheusTools, operator: &mut Operator) -> Self {
        let dir = TempDir::new().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: operator\n  \
             static_configs:\n  - targets: [\"{}\"]\n    labels: {{namespace: cams, pod: operator-0}}\n",
            operator.address().unwrap()
        );
        let file = dir.path().join("prometheus.yaml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(tools.prometheus())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut prometheus = Self {
            child,
            dir,
            http: Client::builder().no_proxy().build().unwrap(),
        };
        prometheus.until("phonemigration_build_info == 1").await;
        prometheus
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Its address: the kernel chose the port, and the log names it.
    fn address(&self) -> Option<String> {
        self.log().lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let told = line["msg"] == "Listening on";
            told.then(|| line["address"].as_str().unwrap().to_owned())
        })
    }

    /// The instant vector that the query returns now.
    async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let address = self.address().ok_or("it does not listen yet")?;
        let url = format!("http://{address}/api/v1/query");
        let url = Url::parse_with_params(&url, [("query", query)]).unwrap();
        let reply = self.http.get(url).send().await.map_err(|e| e.to_string())?;
        let text = reply.text().await.map_err(|e| e.to_string())?;
        let reply: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
        match reply["data"]["result"].as_array() {
            Some(vector) if reply["data"]["resultType"] == "vector" => Ok(vector.clone()),
            _ => Err(text),
        }
    }

    /// Waits until the query returns a value.
    async fn until(&mut self, query: &str) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let last = self.query(query).await;
            if last.as_ref().is_ok_and(|vector| !vector.is_empty()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{query}: {last:?}; {ended:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_has_data_for_every_query_of_the_dashboard() {
    let queries = queries(&dashboard());
    assert!(queries.len() > 30, "{}", queries.len());
    let tools = tools().await;
    let world = World::new(OPERATOR, "dashboard").await.unwrap();
    let lease = elect(&world).await;
    let mut flags = vec!["--signature-validity", "3s"];
    flags.extend(lease.iter().map(String::as_str));
    let mut operator = world.operator(&flags).await.unwrap();
    // Events before the first scrape are in no rate.
    let mut prometheus = Prometheus::start(&tools, &mut operator).await;
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
