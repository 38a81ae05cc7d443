//! Many resources only raise the values of the metrics; they add no series.

use std::collections::BTreeSet;

use super::*;

/// Names and labels of all series, except one: the metric of the API server's answers has a series
/// for each HTTP status, and the first 404 adds one.
async fn series(operator: &mut Operator) -> BTreeSet<String> {
    let text = operator.http("/metrics").await.unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let skipped = ["#", "rest_client_requests_total{"];
    let samples = body
        .lines()
        .filter(|line| !skipped.iter().any(|start| line.starts_with(start)));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name.to_owned())
        .collect()
}

async fn many(name: &str, count: usize) {
    let world = World::new(OPERATOR, name).await.unwrap();
    let mut operator = world.start(SOON_FINAL).await;
    world.migrate("first", &phone(0), "46450001").await;
    reason(&world, "first", "Verified").await;
    let before = series(&mut operator).await;
    assert!(before.len() > 50, "{before:?}");
    for n in 1..=count {
        let name = format!("tenant-{n}-store");
        world.make(&Migration::new(&name, phone(n))).await;
    }
    for n in 1..=count {
        reason(&world, &format!("tenant-{n}-store"), "SecretNotFound").await;
    }
    let waits = format!("phonemigration_objects{{reason=\"SecretNotFound\"}} {count}");
    operator.until_metric(&waits).await;
    assert_eq!(series(&mut operator).await, before);
    world.finish().await.unwrap();
    let mut canaries = world.canaries();
    canaries.add("a namespace", &world.namespace);
    let search = canaries.search().unwrap();
    let shown = artefacts::of_process(&mut operator).await;
    search.none_in(&shown[3..]).unwrap();
}

#[tokio::test]
async fn t13_three_hundred_resources_add_no_series() {
    many("tenants-of-metrics", 300).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn t13_five_thousand_resources_add_no_series() {
    many("tenants-of-metrics-more", 5_000).await;
}
