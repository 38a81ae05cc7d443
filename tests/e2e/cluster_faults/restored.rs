//! etcd is restored from a snapshot without a bump of its revisions: the API server is behind the
//! versions that the operator has seen, and a continued watch would wait for versions that do not
//! come.

use super::*;

#[tokio::test]
#[ignore = "what the operator missed is noticed within half a minute"]
async fn a_restored_etcd_is_noticed_and_everything_is_listed_anew() {
    let apart = apart("restored").await;
    let world = &apart.world;
    let control = &world.plane.control;
    let snapshot = world.dir().join("snapshot");
    let operator = world.start(NEVER_FINAL).await;
    waiting(world, 0).await;
    waiting(world, 1).await;
    control.save_etcd(&snapshot).unwrap();
    bring_code(world, 0).await;
    verified(world, 0).await;
    // Far ahead of the restored versions.
    for n in 0..300 {
        world.request(&name(1), &n.to_string()).await.unwrap();
    }
    control.restore_etcd(&snapshot).await.unwrap();
    let back = Instant::now();
    // Its outcome is in no status and no ledger any more, but the operator remembers it.
    let within = Duration::from_secs(75);
    let shown = |status: &Value| harness::reason(status) == "Verified";
    let status = world.until(&name(0), within, shown).await.unwrap();
    println!("noticed and shown again after {:?}", back.elapsed());
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    ready(world, 2).await;
    verified(world, 2).await;
    println!("a new resource verified after {:?}", back.elapsed());
    assert_eq!(calls(world, 0).len(), 1, "submissions of {}", phone(0));
    assert!(operator.log().contains("etcd was restored from a snapshot"));
    world.finish_after_restart().await.unwrap();
}
