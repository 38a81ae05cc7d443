//! An upgrade from the first CRD that was ever committed (`tests/data/phonemigrations-first.yaml`)
//! keeps the resources of that time working.

use tempfile::TempDir;

use super::helm::{chart, path};
use super::release::Site;
use super::*;

/// This chart with that CRD in it.
fn first_chart(dir: &TempDir) -> std::path::PathBuf {
    let to = dir.path().join("chart");
    let copied = std::process::Command::new("cp")
        .args(["-r", path(&chart()), path(&to)])
        .status()
        .unwrap();
    assert!(copied.success());
    let first = harness::repository().join("tests/data/phonemigrations-first.yaml");
    std::fs::copy(first, to.join("files/phonemigrations.yaml")).unwrap();
    to
}

/// A status as it was written then.
fn status(reason: &str, message: &str, finished: bool, attempt: Value) -> Value {
    let condition = |type_: &str, status: bool| {
        json!({
            "type": type_, "status": if status { "True" } else { "False" }, "reason": reason,
            "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-11-23T12:10:00Z",
        })
    };
    let ready = reason == "Verified";
    json!({
        "observedGeneration": 1,
        "reason": reason,
        "attemptLimit": 5,
        "attempt": attempt,
        "conditions": [
            condition("Ready", ready),
            condition("Reconciling", false),
            condition("Stalled", finished && !ready),
            condition("Finished", finished),
        ],
    })
}

fn attempt(outcome: &str, secret: &Value) -> Value {
    json!({
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "number": 1,
        "generation": 1,
        "signedAt": "2026-11-23T12:09:58Z",
        "finishedAt": "2026-11-23T12:10:00Z",
        "outcome": outcome,
        "secret": {"uid": secret["uid"], "resourceVersion": secret["resourceVersion"]},
    })
}

#[tokio::test]
async fn resources_of_the_first_crd_go_on_under_this_one() {
    let site = Site::new().await;
    let dir = TempDir::new().unwrap();
    site.install(&first_chart(&dir), &[]).await;
    let world = site.world("tenant-a").await;
    let secret = async |name: &str| {
        let name = format!("{name}-code");
        let get = format!("-n tenant-a get secret {name} -o json");
        let text = site.kubectl(&get).await;
        let secret: Value = serde_json::from_str(&text).unwrap();
        secret["metadata"].clone()
    };
    // Done; refused, with a message longer than today's schema allows; and never reconciled.
    world.migrate("done", "8613800000001", "12345678").await;
    let adopted = attempt("Adopted", &secret("done").await);
    let mut done = status("Verified", "The number is verified.", true, adopted);
    done["id"] = json!("id-8613800000001");
    world.verified_elsewhere("8613800000001", "12345678", "id-8613800000001");
    world.patch_status("done", done).await.unwrap();
    world.migrate("refused", "8613800000002", "22345678").await;
    world.code("refused", "99999999").await.unwrap();
    let long = "Refused. ".repeat(100);
    let spent = attempt("Refused", &secret("refused").await);
    let mut refused = status("CodeRejected", &long, true, spent);
    refused["errorCode"] = json!("InvalidCode");
    world.patch_status("refused", refused).await.unwrap();
    world.migrate("waiting", "8613800000003", "32345678").await;
    let before = world.get("done").await.unwrap();

    site.upgrade(&[]).await;
    let crd = site.get("crd", "phonemigrations.phonemigration.dev").await;
    let crd = crd.unwrap();
    let file = harness::repository().join("crds/phonemigrations.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let own: Value = serde_yaml_ng::from_str(&text).unwrap();
    let description = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/description";
    assert_eq!(crd.pointer(description), own.pointer(description));
    assert!(own.pointer(description).is_some());

    let _operator = site.operator(&world).await;
    world.until_reason("waiting", "Verified").await.unwrap();
    // The old refusal counts. Its status holds no fingerprint, so a user has to state that a code
    // is new.
    let says = |status: &Value| status.to_string().contains("request a new code");
    world.until_status("refused", says).await;
    world.code("refused", "22345678").await.unwrap();
    world.retry("refused", "it is new").await;
    let refused = world.until_reason("refused", "Verified").await.unwrap();
    assert_eq!(refused["attempt"]["number"], 2, "{refused}");
    assert_eq!(condition(&refused, "Finished"), "True");
    let after = world.get("done").await.unwrap();
    assert_eq!(after.data["status"]["id"], before.data["status"]["id"]);
    assert_eq!(after.data["status"]["reason"], "Verified");
    // Old and new fields can be written: the whole object goes through the new schema.
    let patch = json!({"metadata": {"labels": {"seen": "yes"}}, "spec": {"suspend": true}});
    world.patch("done", patch).await.unwrap();
    world.make(&Migration::new("new", "8613800000004")).await;
    world.until_reason("new", "SecretNotFound").await.unwrap();
    let figures = world.finish().await.unwrap();
    // Nothing was sent for the finished ones.
    let codes = &figures.summary.codes;
    let sent = codes.iter().any(|code| code.phone == "8613800000001");
    assert!(!sent, "{codes:?}");
}
