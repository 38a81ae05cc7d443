//! The operator's traces: writes, metrics, probes; and the objects that it does not read.
use harness::expect::until_events;
use harness::{AuditEntry, Migration, World};
use serde_json::json;

use super::expect::*;

const GOOD: &str = "8613800001101";
const BAD: &str = "8613800001102";
const CODE: &str = "40718265";

#[tokio::test]
async fn the_metrics_have_the_documented_names_and_tell_what_happened() {
    let world = World::new(OPERATOR, "metrics").await.unwrap();
    world.migrate("good", GOOD, CODE).await;
    world.number(BAD, CODE, "id-2");
    world.code("bad", "99887766").await.unwrap();
    world.make(&Migration::new("bad", BAD)).await;
    let mut operator = world.start(&[]).await;
    until(&world, "good", verified("CAMS accepted the code")).await;
    until(&world, "bad", code_refused()).await;
    for line in [
        "phonemigration_objects{reason=\"Verified\"} 1",
        "phonemigration_objects{reason=\"CodeRejected\"} 1",
        "phonemigration_objects{reason=\"Queued\"} 0",
        "phonemigration_running_tasks 0",
        "phonemigration_account_paused{account=\"default\"} 0",
        "phonemigration_account_hold{account=\"default\",cause=\"credentials\"} 0",
        "phonemigration_outcome_unknown{kind=\"final\"} 0",
        "phonemigration_queue_depth{account=\"default\",action=\"ChatappMigrationVerified\"} 0",
        "phonemigration_cams_requests_total{account=\"default\",action=\"ChatappMigrationVerified\",code=\"OK\"} 1",
        "phonemigration_cams_requests_total{account=\"default\",action=\"ChatappMigrationVerified\",code=\"other\"} 1",
        "phonemigration_cams_requests_total{account=\"default\",action=\"GetPhoneNumberVerificationStatus\",code=\"OK\"} 3",
        "phonemigration_cams_request_duration_seconds_count{account=\"default\",action=\"ChatappMigrationVerified\"} 2",
        "phonemigration_rate_limiter_wait_seconds_count{account=\"default\",action=\"ChatappMigrationVerified\"} 2",
    ] {
        operator.until_metric(line).await;
    }
    let text = operator.http("/metrics").await.unwrap();
    for name in ["pre_read_failures", "task_failures"] {
        assert!(
            text.contains(&format!("# TYPE phonemigration_{name}_total counter")),
            "{name} in {text}"
        );
    }
    assert!(
        text.contains("phonemigration_build_info{version="),
        "{text}"
    );
    for secret in [
        GOOD,
        BAD,
        CODE,
        harness::ACCESS_KEY_ID,
        "good",
        &world.namespace,
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    finish(&world).await;
}

#[tokio::test]
async fn a_namespace_that_is_not_watched_is_not_touched() {
    let world = World::new(OPERATOR, "watched").await.unwrap();
    let other = format!("{}-other", world.namespace);
    world.namespace(&other).await.unwrap();
    world.number(BAD, CODE, "id-2");
    world
        .secret_in(&other, "m-code", json!({"code": CODE}))
        .await
        .unwrap();
    world
        .create_in(&other, &Migration::new("m", BAD))
        .await
        .unwrap();
    let _operator = world.start(&[]).await;
    world.migrate("m", GOOD, CODE).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    let foreign = world.migrations_in(&other).get("m").await.unwrap();
    assert_eq!(foreign.data["status"], json!({"observedGeneration": -1}));
    assert!(calls(&world, BAD).is_empty() && reads(&world, BAD).is_empty());
    let user = world.plane.operator_user();
    let there = |e: &AuditEntry| e.user == user && e.namespace == other;
    assert_eq!(world.plane.control.audit_entries(there).unwrap(), []);
    finish(&world).await;
}

/// `finish` refuses every other verb; this test pins the frugal path.
#[tokio::test]
async fn a_migration_writes_its_ledger_twice_status_once_one_event_and_nothing_else() {
    let world = World::new(OPERATOR, "frugal").await.unwrap();
    world.migrate("m", GOOD, CODE).await;
    let before = serde_json::to_value(world.get("m").await.unwrap()).unwrap();
    let _operator = world.start(&[]).await;
    until(&world, "m", verified("CAMS accepted the code")).await;
    until_events(&world, "m", &["Verified"]).await;
    let after = serde_json::to_value(world.get("m").await.unwrap()).unwrap();
    assert_eq!(before["spec"], after["spec"]);
    for field in [
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "generation",
    ] {
        assert_eq!(
            before["metadata"][field], after["metadata"][field],
            "{field}"
        );
    }
    let figures = finish(&world).await;
    let writes = |resource: &str| {
        let of = |r: &&harness::AuditEntry| {
            r.resource == resource && !["get", "list", "watch"].contains(&r.verb.as_str())
        };
        figures.requests.iter().filter(of).count()
    };
    // A busy machine may show Queued first.
    let reasons = written_reasons(&figures, "m");
    let wanted: Vec<&str> = reasons
        .iter()
        .map(String::as_str)
        .filter(|r| *r != "Queued")
        .collect();
    assert_eq!(wanted, ["Verified"]);
    // The claim and the outcome; at its start, the operator tries once whether it may write
    // ledgers.
    let ledger = harness::requests_of(&figures.requests, "m").into_iter();
    let ledger = ledger.filter(|r| r.resource == "codeledgers" && r.verb != "get");
    let verbs: Vec<&str> = ledger.map(|r| r.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "update"]);
    assert_eq!(writes("events"), 1);
    assert_eq!(writes("secrets"), 0);
}
