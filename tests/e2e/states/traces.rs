//! The operator's traces: writes, metrics, probes; and the objects that it does not read.
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
    shows(&world, "good", accepted()).await;
    shows(&world, "bad", code_refused()).await;
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
        let head = format!("# TYPE phonemigration_{name}_total counter");
        assert_says(&text, &[&head]);
    }
    assert_says(&text, &["phonemigration_build_info{version="]);
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
    let (other, _) = world.second_namespace("other").await;
    world.number(BAD, CODE, "id-2");
    let code = json!({"code": CODE});
    world.secret_in(&other, "m-code", code).await.unwrap();
    let migration = Migration::new("m", BAD);
    world.create_in(&other, &migration).await.unwrap();
    let _operator = world.start(&[]).await;
    world.migrate("m", GOOD, CODE).await;
    shows(&world, "m", accepted()).await;
    let foreign = world.migrations_in(&other).get("m").await.unwrap();
    assert_eq!(foreign.data["status"], json!({"observedGeneration": -1}));
    assert!(world.calls(BAD).is_empty() && world.reads(BAD).is_empty());
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
    let before = world.object("m").await;
    let _operator = world.start(&[]).await;
    shows(&world, "m", accepted()).await;
    until_events(&world, "m", &["Verified"]).await;
    let after = world.object("m").await;
    assert_eq!(before["spec"], after["spec"]);
    for field in [
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "generation",
    ] {
        let (before, after) = (&before["metadata"], &after["metadata"]);
        assert_eq!(before[field], after[field], "{field}");
    }
    let figures = finish(&world).await;
    let writes = |resource: &str| {
        let reads = ["get", "list", "watch"];
        let of = figures.requests.iter().filter(|r| r.resource == resource);
        of.filter(|r| !reads.contains(&r.verb.as_str())).count()
    };
    // A busy machine may show Queued first.
    let reasons = written_reasons(&figures, "m");
    let shown = reasons.iter().filter(|reason| *reason != "Queued");
    assert!(shown.eq(["Verified"]), "{reasons:?}");
    // The claim and the outcome; at its start, the operator tries once whether it may write
    // ledgers.
    let ledger = harness::requests_of(&figures.requests, "m").into_iter();
    let ledger = ledger.filter(|r| r.resource == "codeledgers" && r.verb != "get");
    let verbs: Vec<&str> = ledger.map(|r| r.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "update"]);
    assert_eq!(writes("events"), 1);
    assert_eq!(writes("secrets"), 0);
}
