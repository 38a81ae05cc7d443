//! Traces, against a collector that decodes them.

use std::collections::BTreeMap;

use super::collector::{Collector, text};
use super::morning::{BAD, CODE, GOOD, LOST, SLOW, play};
use super::*;

/// The submissions that reached the gateway, by the nonce: the attempt's id.
pub fn submissions(world: &World) -> BTreeMap<String, Entry> {
    let ledger = world.sim.ledger().into_iter();
    let submitted = ledger.filter(|entry| entry.action == VERIFIED);
    let by_nonce = submitted.map(|entry| (entry.nonce.clone().unwrap(), entry));
    by_nonce.collect()
}

#[tokio::test]
async fn each_attempt_is_one_span_with_its_request_id_and_outcome_and_nothing_secret() {
    let world = World::new(OPERATOR, "traces").await.unwrap();
    let collector = Collector::start().await;
    let mut operator = play(&world, &["--otlp-endpoint", &collector.url]).await;
    // The remaining spans are sent at the end.
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    let kept = collector.kept();
    assert!(kept.requests.iter().all(|(path, _)| path == "/v1/traces"));
    let service = text(&kept.resource, "service.name");
    assert_eq!(service, "phone-migration-operator");
    let version = text(&kept.resource, "service.version");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));

    let submissions = submissions(&world);
    assert_eq!(submissions.len(), 5, "{submissions:?}");
    let mut outcomes = Vec::new();
    let mut attempts = Vec::new();
    for span in &kept.spans {
        assert_eq!(span.name, "attempt");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        let attempt = text(&span.attributes, "attempt");
        let outcome = text(&span.attributes, "outcome");
        let entry = &submissions[attempt];
        let lost = entry.phone.as_deref() == Some(LOST);
        let request = if lost { "" } else { entry.request_id.as_str() };
        assert_eq!(text(&span.attributes, "request"), request, "{outcome}");
        let object = text(&span.attributes, "object");
        assert!(
            object.starts_with(&format!("{}/", world.namespace)),
            "{object}"
        );
        let events: Vec<&str> = span.events.iter().map(|e| e.name.as_str()).collect();
        for event in ["Attempt claimed", "Attempt answered", "Status written"] {
            assert!(events.contains(&event), "{event} in {events:?}");
        }
        outcomes.push(outcome);
        attempts.push(attempt);
    }
    outcomes.sort_unstable();
    let wanted = ["Accepted", "Accepted", "Refused", "Throttled", "Unknown"];
    assert_eq!(outcomes, wanted);
    attempts.sort_unstable();
    assert!(attempts.iter().eq(submissions.keys()), "{attempts:?}");
    let everything = format!("{kept:?}");
    for secret in [
        GOOD,
        BAD,
        LOST,
        SLOW,
        CODE,
        "99887766",
        ACCESS_KEY_ID,
        ACCESS_KEY_SECRET,
    ] {
        let everything = everything.replace(&format!("id-{secret}"), "");
        assert!(!everything.contains(secret), "{secret}");
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn the_collectors_headers_come_from_the_environment_and_a_path_is_kept() {
    let world = World::new(OPERATOR, "trace-headers").await.unwrap();
    let collector = Collector::start().await;
    let endpoint = format!("{}/base/", collector.url);
    world.migrate("m", GOOD, CODE).await;
    let mut launch = world.launch(&["--otlp-endpoint", &endpoint]).unwrap();
    let header = ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=CanaryTenant");
    launch.env.push((header.0.to_owned(), header.1.to_owned()));
    let mut operator = Operator::spawn(&launch).unwrap();
    reason(&world, "m", "Verified").await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    let kept = collector.kept();
    let wanted = ("/base/v1/traces".to_owned(), "CanaryTenant".to_owned());
    assert_eq!(kept.requests, [wanted]);
    assert_eq!(kept.spans.len(), 1);
    assert!(!operator.log().contains("CanaryTenant"));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_a_line_in_the_log_and_nothing_else() {
    let world = World::new(OPERATOR, "no-collector").await.unwrap();
    world.migrate("m", GOOD, CODE).await;
    let nowhere = ["--otlp-endpoint", "http://127.0.0.1:1"];
    let mut operator = world.start(&nowhere).await;
    reason(&world, "m", "Verified").await;
    let warning = "Traces are not exported";
    operator.until_logged(warning).await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    assert_eq!(operator.log().matches(warning).count(), 1);
    world.finish().await.unwrap();
}
