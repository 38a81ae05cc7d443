//! A Prometheus server that scrapes one operator.

use std::process::Stdio;

use cluster_tools::PrometheusTools;
use reqwest::{Client, Url};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::*;

/// A Prometheus server on loopback; killed when dropped.
pub struct Prometheus {
    child: Child,
    dir: TempDir,
    http: Client,
}

impl Prometheus {
    /// Scrapes this operator every second.
    pub async fn start(tools: &PrometheusTools, operator: &mut Operator) -> Self {
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
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        self.ask("query", "vector", &[("query", query)]).await
    }

    /// The range vector that the query returns for every second between two times, which are
    /// seconds since 1970.
    pub async fn query_range(&self, query: &str, times: (f64, f64)) -> Result<Vec<Value>, String> {
        let (start, end) = (times.0.to_string(), times.1.to_string());
        let with = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        self.ask("query_range", "matrix", &with).await
    }

    async fn ask(&self, what: &str, of: &str, with: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let address = self.address().ok_or("it does not listen yet")?;
        let url = format!("http://{address}/api/v1/{what}");
        let url = Url::parse_with_params(&url, with).unwrap();
        let reply = self.http.get(url).send().await.map_err(|e| e.to_string())?;
        let text = reply.text().await.map_err(|e| e.to_string())?;
        let reply: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
        match reply["data"]["result"].as_array() {
            Some(vector) if reply["data"]["resultType"] == of => Ok(vector.clone()),
            _ => Err(text),
        }
    }

    /// Waits until the query returns a value.
    pub async fn until(&mut self, query: &str) {
        self.until_it(query, |vector| !vector.is_empty()).await;
    }

    /// Waits until the query returns nothing.
    pub async fn until_none(&mut self, query: &str) {
        self.until_it(query, <[Value]>::is_empty).await;
    }

    async fn until_it(&mut self, query: &str, holds: impl Fn(&[Value]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let last = self.query(query).await;
            if last.as_ref().is_ok_and(|vector| holds(vector)) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "never: {query}: {last:?}; {ended:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}
