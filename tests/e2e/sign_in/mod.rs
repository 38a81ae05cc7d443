//! The operator signs in as its ServiceAccount: real tokens of the API server, checked by a
//! simulated STS against the API server's keys.

mod away;
mod chain;
mod instance;
mod judges;
mod words;

use harness::cams_simulator::WITH_OIDC;
use harness::cases::*;

use crate::OPERATOR;

/// Nothing ends by itself while a case runs.
const RRSA: &[&str] = &["--credentials=oidc", "--signature-validity=10m"];

async fn migration(world: &World, n: usize) {
    world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
}

async fn verified(world: &World, n: usize) {
    harness::cases::verified(world, &format!("m-{n}"), &phone(n)).await;
    assert_eq!(world.executed(&phone(n)), 1);
}

fn asked(world: &World, action: &str) -> Vec<Entry> {
    let ledger = world.sim.ledger().into_iter();
    ledger.filter(|entry| entry.action == action).collect()
}

fn given(world: &World) -> Vec<AccessKey> {
    world.sim.given_keys()
}

#[tokio::test]
async fn a_serviceaccount_signs_in_and_its_key_can_do_two_things_only() {
    let world = World::new(OPERATOR, "rrsa").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    let mut operator = world.start(RRSA).await;
    migration(&world, 1).await;
    verified(&world, 1).await;

    let sts = asked(&world, WITH_OIDC);
    assert_eq!(sts.len(), 1, "one exchange");
    // The URL does not identify the operator, and nothing is signed.
    assert_eq!((&sts[0].key_id, &sts[0].signature), (&None, &None));
    let [key] = &given(&world)[..] else {
        panic!("one key");
    };
    let mut allowed = key.allowed.clone().unwrap();
    allowed.sort();
    // Less than the role may.
    let two = [
        "cams:ChatappMigrationVerified",
        "cams:GetPhoneNumberVerificationStatus",
    ];
    assert_eq!(allowed, two);
    let log = world.logs().concat();
    let chosen = format!("RAM role {} (token file ", harness::ROLE);
    assert!(log.contains(&chosen), "{log}");
    assert_says(&log, &["assumed-role/phmig/phone-migration-operator"]);
    let metrics = operator.http("/metrics").await.unwrap();
    let made = r#"phonemigration_sts_requests_total{account="default",action="AssumeRoleWithOIDC",code="OK"} 1"#;
    assert!(metrics.contains(made), "{metrics}");
    world.finish().await.unwrap();
}
