//! The log: JSON with documented fields, and an attempt's id and RequestId on each of its lines.

use std::collections::{BTreeMap, BTreeSet};

use super::morning::{LOST, play};
use super::traces::submissions;
use super::*;

const OWN: &str = "phone_migration_operator";

/// The fields that `docs/logs.md` lists.
fn documented() -> BTreeSet<String> {
    let path = harness::repository().join("docs/logs.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
    cells
        .flat_map(|cell| {
            let names = cell.split('`').skip(1).step_by(2);
            names.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

#[tokio::test]
async fn every_line_is_json_with_documented_fields_and_names_its_attempt_and_request() {
    let world = World::new(OPERATOR, "logs").await.unwrap();
    let mut operator = play(&world, &[]).await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    let lines = lines(&operator.log());
    let documented = documented();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
        let own = line["target"].as_str().unwrap().starts_with(OWN);
        for field in line.as_object().unwrap().keys().filter(|_| own) {
            assert!(documented.contains(field), "{field} is not in docs/logs.md");
        }
    }
    let submissions = submissions(&world);
    assert_eq!(submissions.len(), 5);
    let mut of_attempts: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for line in lines
        .iter()
        .filter(|line| line["span"]["name"] == "attempt")
    {
        let attempt = line["span"]["attempt"].as_str().unwrap();
        // A line that names another attempt than the one it belongs to would mislead.
        assert!(
            line["attempt"].is_null() || line["attempt"] == attempt,
            "{line}"
        );
        of_attempts.entry(attempt).or_default().push(line);
    }
    assert!(of_attempts.keys().eq(submissions.keys()));
    for (attempt, lines) in of_attempts {
        let said: Vec<&str> = lines
            .iter()
            .map(|l| l["message"].as_str().unwrap())
            .collect();
        let answered = said.iter().position(|m| *m == "Attempt answered").unwrap();
        assert!(said[..answered].contains(&"Attempt claimed"), "{said:?}");
        assert!(said[answered..].contains(&"Status written"), "{said:?}");
        let entry = &submissions[attempt];
        for line in &lines[answered..] {
            let request = &line["span"]["request"];
            if entry.phone.as_deref() == Some(LOST) {
                assert!(request.is_null(), "there was no answer: {line}");
            } else {
                assert_eq!(request, &entry.request_id, "{line}");
            }
        }
    }
    // The operator's lines about an attempt outside of its task name it too.
    for line in lines
        .iter()
        .filter(|line| line["message"] == "Status written")
    {
        let spoken = ["Verified", "CodeRejected", "OutcomeUnknown", "Throttled"];
        let of_attempt = spoken.contains(&line["reason"].as_str().unwrap());
        assert!(!of_attempt || line["attempt"].is_string(), "{line}");
    }
    world.finish().await.unwrap();
}
