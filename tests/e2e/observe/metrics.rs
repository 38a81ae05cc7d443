//! The metrics against their table and against Prometheus's own checker.

use std::fmt::Write;

use super::morning::{BAD, CODE, GOOD, elect, play, scrape};
use super::scrape::{Family, families};
use super::tools::{promtool, tools};
use super::*;

const TABLE: &str = "docs/metrics.md";
const HEAD: &str = "\
# Metrics

For people who write alerts, dashboards or queries. The operator serves metrics at `/metrics`
(`--listen`), as OpenMetrics or Prometheus text. The table is generated from a scrape of a real run,
and a test compares the two: `UPDATE_DOCS=1 cargo test -p e2e observe::metrics` writes it.

Labels come from closed sets: no phone number, key, namespace or name of a resource. So the number
of series does not depend on the number of resources. `rest_client_requests_total` gets a series
with each status code that the API server answers. Every other series is there from the start, but
`leader_election_master_status`, which needs `--leader-elect`.

`controller_runtime_*`, `workqueue_*`, `rest_client_*`, `leader_election_master_status` and
`process_*` have the names and meanings that operators written in Go expose, so dashboards and
alerts for those work here. The work queue is the account's queue of attempts. kube-rs exposes no
metrics.

| Name | Type | Unit | Labels | Meaning |
|---|---|---|---|---|
";

fn table(families: &[Family]) -> String {
    let mut text = HEAD.to_owned();
    let mut families: Vec<&Family> = families.iter().collect();
    // The operator's own first.
    families.sort_by_key(|f| (!f.name.starts_with("phonemigration_"), f.name.clone()));
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            family.name,
            family.kind,
            family.unit(),
            labels.join(", "),
            family
                .help
                .trim_end_matches('.')
                .replace("<error>", "`<error>`"),
        )
        .unwrap();
    }
    text
}

/// The names in the table, which alerts and dashboard may use.
pub fn documented() -> Vec<Family> {
    let text = std::fs::read_to_string(harness::repository().join(TABLE)).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let (name, rest) = line.split_once("` | ").unwrap();
            Family {
                name: name.to_owned(),
                kind: rest.split(" | ").next().unwrap().to_owned(),
                ..Family::default()
            }
        })
        .collect()
}

#[tokio::test]
async fn the_table_of_metrics_equals_a_scrape_that_promtool_accepts() {
    let tools = tools().await;
    let world = World::new(OPERATOR, "metrics-table").await.unwrap();
    let lease = elect(&world).await;
    let election: Vec<&str> = lease.iter().map(String::as_str).collect();
    let mut operator = play(&world, &election).await;
    let text = scrape(&mut operator).await;
    match promtool(&tools, &["check", "metrics"], &text) {
        Ok(said) => assert_eq!(said.trim(), "", "{text}"),
        Err(said) => panic!("{said}\n{text}"),
    }
    let families = families(&text);
    for family in &families {
        assert!(
            !family.help.is_empty() && !family.kind.is_empty(),
            "{family:?}"
        );
    }
    for secret in [
        GOOD,
        BAD,
        CODE,
        harness::ACCESS_KEY_ID,
        "\"good\"",
        &world.namespace,
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let path = harness::repository().join(TABLE);
    let wanted = table(&families);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, wanted,
        "{TABLE} is not what a scrape says: UPDATE_DOCS=1 writes it anew"
    );
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn every_series_but_the_api_servers_codes_is_there_from_the_start() {
    let world = World::new(OPERATOR, "series").await.unwrap();
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| {
                !line.starts_with('#') && !line.starts_with("rest_client_requests_total{")
            })
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect()
    };
    let mut operator = world.start(&["--signature-validity", "3s"]).await;
    let before = names(&scrape(&mut operator).await);
    super::morning::prepare(&world).await;
    super::morning::settled(&world).await;
    let after = names(&scrape(&mut operator).await);
    assert_eq!(before, after);
    // Four calls were made, and two of them are in series that started at 0.
    assert!(world.sim.summary().total.received >= 4);
    world.finish().await.unwrap();
}
