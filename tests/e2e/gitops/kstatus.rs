//! Flux: the kstatus library, and the health check expressions of `deploy/flux`.

use std::process::Stdio;

use harness::repository;
use phone_migration_operator::api::reason::Kstatus;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::states::recorded;
use super::*;

/// The verdicts of kstatus on each object, in order, and those of the expressions.
async fn verdicts(objects: &[&Value]) -> Vec<(String, String)> {
    let program = tokio::task::spawn_blocking(::kstatus::program)
        .await
        .unwrap();
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let mut child = Command::new(program)
        .arg(repository().join("deploy/flux/kustomization.yaml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let feed = async move {
        input.write_all(text.as_bytes()).await.unwrap();
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.unwrap();
    assert!(output.status.success());
    let word = |line: &Value, of: &str| line[of].as_str().unwrap().to_owned();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: Value| (word(&line, "kstatus"), word(&line, "expression")))
        .collect()
}

#[tokio::test]
async fn kstatus_and_flux_expressions_say_of_every_state_what_is_designed() {
    let recorded = recorded().await;
    let objects: Vec<&Value> = recorded.iter().map(|r| &r.object).collect();
    let said = verdicts(&objects).await;
    assert_eq!(said.len(), recorded.len());
    for (recorded, (kstatus, expression)) in recorded.iter().zip(said) {
        let wanted = match recorded.wanted {
            Kstatus::Current => "Current",
            Kstatus::InProgress | Kstatus::Paused => "InProgress",
            Kstatus::Failed => "Failed",
        };
        println!("{:28} {kstatus}", recorded.what);
        assert_eq!(kstatus, wanted, "{}", recorded.what);
        assert_eq!(expression, wanted, "{}", recorded.what);
    }
}

#[tokio::test]
async fn a_terminating_object_and_one_of_no_operator_are_never_current() {
    let mut recorded = recorded().await.iter();
    let verified = recorded.find(|r| r.what == "verified-0").unwrap();
    let mut verified = verified.object.clone();
    verified["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut bare = verified.clone();
    let metadata = bare["metadata"].as_object_mut().unwrap();
    metadata.remove("deletionTimestamp");
    bare["status"] = json!({"observedGeneration": -1});
    let said = verdicts(&[&verified, &bare]).await;
    assert_eq!(said[0].0, "Terminating");
    assert_eq!(said[1], ("InProgress".to_owned(), "InProgress".to_owned()));
}
