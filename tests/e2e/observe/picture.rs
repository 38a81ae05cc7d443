//! Draws panels of the Grafana dashboard: the operator works through a batch, a real Prometheus
//! scrapes it, and answers the panels' own queries.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ::picture::{Line, Panel, Unit, plot};
use harness::crowd_phone;

use super::dashboard::{Query, dashboard, queries};
use super::prometheus::Prometheus;
use super::tools::tools;
use super::*;

const PICTURE: &str = "docs/pictures/dashboard.svg";
const PANELS: [&str; 6] = [
    "Resources by reason",
    "Calls by answer",
    "Quota used",
    "Depth",
    "Duration of a call",
    "Holds and pauses",
];
/// Right codes.
const BATCH: u32 = 300;
/// Wrong codes, on the way.
const WRONG: u32 = 4;
/// Codes before the cloud throttles.
const BEFORE: u64 = 150;
const NOTES: [&str; 2] = [
    "Drawn from the panels' queries, not a screenshot of Grafana. Lines that stay at zero are left out.",
    "300 right codes, 4 wrong ones, a lost reply, and 4 s in which CAMS throttles.",
];

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

#[tokio::test]
#[ignore = "a minute: 304 resources; UPDATE_DOCS=1 writes docs/pictures/dashboard.svg"]
async fn the_dashboard_is_drawn_from_a_batch() {
    let tools = tools().await;
    let world = World::new(OPERATOR, "picture").await.unwrap();
    world.sim.set_processing(60);
    world.sim.set_processing_jitter(80);
    world.expect_throttles();
    let mut operator = world.operator(&[]).await.unwrap();
    let prometheus = Prometheus::start(&tools, &mut operator).await;
    let start = now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    batch(&world).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let times = (start, now());
    let mut panels = Vec::new();
    let queries = queries(&dashboard(), "5s");
    for title in PANELS {
        let mut lines = Vec::new();
        let of = queries.iter().filter(|query| query.title == title);
        let of: Vec<&Query> = of.collect();
        for query in &of {
            let series = prometheus.query_range(&query.text, times).await.unwrap();
            lines.extend(series.iter().map(|series| line(query, series, start)));
        }
        lines.retain(|line: &Line| line.points.iter().any(|point| point.1 > 0.0));
        assert!((1..=8).contains(&lines.len()), "{title}: {}", lines.len());
        panels.push(Panel {
            title: title.to_owned(),
            unit: unit(&of[0].unit),
            lines,
            limit: (title == "Quota used").then(|| (1.0, "quota".to_owned())),
        });
    }
    let title = "Panels of the Grafana dashboard, over one batch";
    let svg = plot(title, &NOTES, 2, &panels);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(harness::repository().join(PICTURE), svg).unwrap();
    }
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    world.finish().await.unwrap();
}

/// Until every code has its outcome.
async fn batch(world: &World) {
    let lost = crowd_phone(BATCH / 3);
    world.next_call_of(&lost, Fault::close(Stage::Executed));
    world.fill(&world.namespace, 0..BATCH).await.unwrap();
    for n in 0..WRONG {
        let (name, phone) = (format!("wrong-{n}"), crowd_phone(BATCH + n));
        world.offer(&name, &phone, "99887766", "40718265").await;
    }
    let patience = Duration::from_secs(90);
    world.until_accepted(BEFORE, patience).await.unwrap();
    let refusal = Refusal::new(400, "Throttling.User", "Request was denied.");
    world.fault(Fault::Throttle { ms: 4000, refusal });
    for (reason, count) in [("Verified", BATCH), ("CodeRejected", WRONG)] {
        let count = usize::try_from(count).unwrap();
        let deadline = Instant::now() + patience;
        while world.by_reason().await.unwrap().get(reason) != Some(&count) {
            assert!(Instant::now() < deadline, "{reason}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn line(query: &Query, series: &Value, start: f64) -> Line {
    let labels: BTreeMap<String, String> =
        serde_json::from_value(series["metric"].clone()).unwrap();
    let mut name = query.legend.clone();
    for (label, value) in labels {
        name = name.replace(&format!("{{{{{label}}}}}"), &value);
    }
    let mut points: Vec<(f64, f64)> = Vec::new();
    for point in series["values"].as_array().unwrap() {
        let at = point[0].as_f64().unwrap() - start;
        // A second without a value is a gap, which no line crosses.
        if points.last().is_some_and(|last| at - last.0 > 1.5) {
            points.push((at, f64::NAN));
        }
        points.push((at, point[1].as_str().unwrap().parse().unwrap()));
    }
    Line { name, points }
}

fn unit(of_grafana: &str) -> Unit {
    match of_grafana {
        "reqps" | "ops" => Unit::PerSecond,
        "percentunit" => Unit::Percent,
        "s" => Unit::Seconds,
        other => {
            assert_eq!(other, "none");
            Unit::Number
        }
    }
}
