//! Install, upgrade, rollback, uninstall and install again, on a real API server.

use super::helm::{NAME, chart, path};
use super::release::Site;
use super::*;

const KEY: &str = "phone-migration-operator-fingerprint-key";

async fn key(site: &Site) -> String {
    let secret = site.get("secret", KEY).await.unwrap();
    secret["data"]["key"].as_str().unwrap().to_owned()
}

async fn replicas(site: &Site) -> Value {
    site.get("deployment", NAME).await.unwrap()["spec"]["replicas"].clone()
}

/// One tenant's number stays verified, and its code stays known as spent, over all of it.
#[tokio::test]
async fn upgrade_rollback_and_uninstall_lose_nothing() {
    let site = Site::new().await;
    site.install(&chart(), &[]).await;
    let made = key(&site).await;
    let world = site.world("tenant-a").await;
    let mut operator = site.operator(&world).await;
    world.migrate("store-1", "8613800000001", "12345678").await;
    let verified = world.until_reason("store-1", "Verified").await.unwrap();
    assert_eq!(operator.stop().await.unwrap(), Some(0));

    site.upgrade(&["--set", "replicaCount=2,cams.qps=5"]).await;
    assert_eq!(replicas(&site).await, 2);
    assert!(site.get("poddisruptionbudget", NAME).await.is_some());
    assert_eq!(key(&site).await, made, "an upgrade made another key");
    let mut operator = site.operator(&world).await;
    world.migrate("store-2", "8613800000002", "22345678").await;
    let other = world.until_reason("store-2", "Verified").await.unwrap();
    // One key: the first word of a fingerprint identifies it.
    let key_id = |status: &Value| {
        let fingerprint = status["attempt"]["codeFingerprint"].as_str().unwrap();
        fingerprint.split_once(':').unwrap().0.to_owned()
    };
    assert_eq!(key_id(&verified), key_id(&other));
    assert_eq!(operator.stop().await.unwrap(), Some(0));

    site.helm(&format!("rollback {NAME} 1")).await;
    assert_eq!(replicas(&site).await, 1);
    assert!(site.get("poddisruptionbudget", NAME).await.is_none());
    assert_eq!(key(&site).await, made, "a rollback made another key");

    site.helm(&format!("uninstall {NAME}")).await;
    for kind in [
        "deployment",
        "serviceaccount",
        "clusterrole",
        "clusterrolebinding",
    ] {
        assert!(site.get(kind, NAME).await.is_none(), "{kind}");
    }
    let kept = world.get("store-1").await.unwrap();
    assert_eq!(kept.data["status"], verified);
    assert_eq!(key(&site).await, made, "the uninstall took the key");

    // A release of the same name takes over the kept objects.
    site.helm(&format!("install {NAME} {}", path(&chart())))
        .await;
    assert_eq!(key(&site).await, made, "the new release made another key");
    world.finish().await.unwrap();
}

/// With crds.keep=false the definitions go with the release, as the notes warn.
#[tokio::test]
async fn the_crds_go_only_when_it_was_said_so() {
    let site = Site::new().await;
    site.install(&chart(), &["--set", "crds.keep=false"]).await;
    let crds = [
        "codeledgers.phonemigration.dev",
        "phonemigrations.phonemigration.dev",
    ];
    for crd in crds {
        assert!(site.get("crd", crd).await.is_some(), "{crd}");
    }
    site.helm(&format!("uninstall {NAME} --wait")).await;
    for crd in crds {
        assert!(site.get("crd", crd).await.is_none(), "{crd}");
    }
}

/// An existing key is mounted, and the chart makes none.
#[tokio::test]
async fn a_release_works_with_the_key_that_exists() {
    let site = Site::new().await;
    site.kubectl(&format!("create namespace {NAME}")).await;
    let key = format!("--from-literal=key={}", "0123456789abcdef".repeat(4));
    let create = format!("-n {NAME} create secret generic own-key {key}");
    site.kubectl(&create).await;
    let values = ["--set", "fingerprintKey.existingSecret=own-key"];
    site.install(&chart(), &values).await;
    assert!(site.get("secret", KEY).await.is_none());
    let world = site.world("tenant-a").await;
    let mut operator = site.operator(&world).await;
    world.migrate("store-1", "8613800000001", "12345678").await;
    world.until_reason("store-1", "Verified").await.unwrap();
    let metrics = operator.http("/metrics").await.unwrap();
    assert!(metrics.contains("leader_election_master_status{name=\"phone-migration-operator\"} 1"));
    world.finish().await.unwrap();
}
