//! Turns that come while nobody can take them.

use std::sync::Arc;
use std::time::Duration;

use harness::control_plane::{ControlPlane, Options};
use harness::{Migration, World, crowd_code, crowd_phone, install, reason};
use serde_json::{Value, json};

use crate::{NEVER_FINAL, OPERATOR, beside, operator};

/// Resources that want a turn.
const QUEUED: u32 = 16;
/// So many rest in the queue when nobody can be visited any more.
const SEEN_QUEUED: usize = 5;
/// Resources whose visits, to look for a Secret, take the only place for visits while the API
/// server does not answer: five seconds each.
const POLLING: u32 = 12;
/// A turn that is not taken in 10 s is gone.
const PAUSE: Duration = Duration::from_secs(22);
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn a_turn_that_ran_out_before_a_visit_could_take_it_is_asked_for_again() {
    let _beside = beside().await;
    let dir = tempfile::tempdir().unwrap();
    let control = ControlPlane::start(dir.path(), Options::default());
    let plane = Arc::new(install(control.await.unwrap()).await.unwrap());
    let world = World::on(plane, OPERATOR, "turns").await.unwrap();
    for n in 0..POLLING {
        let waits = Migration::new(format!("w{n}"), crowd_phone(100 + n));
        world.create(&waits).await.unwrap();
    }
    for n in 0..QUEUED {
        let (name, phone, code) = (format!("q{n}"), crowd_phone(n), crowd_code(n));
        world.number(&phone, &code, &format!("id-{phone}"));
        world.code(&name, &code).await.unwrap();
        let sends = Migration::new(&name, &phone).spec(json!({"adoptIfVerified": false}));
        world.create(&sends).await.unwrap();
    }
    let slow = ["--qps", "1", "--max-concurrent-reconciles", "1"];
    let _operator = operator(&world, &[NEVER_FINAL, &slow].concat()).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while world.by_reason().await.unwrap().get("Queued") < Some(&SEEN_QUEUED) {
        assert!(tokio::time::Instant::now() < deadline, "nobody has to wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.plane.control.pause_apiserver().unwrap();
    tokio::time::sleep(PAUSE).await;
    world.plane.control.resume_apiserver().unwrap();
    for n in 0..QUEUED {
        let verified = |status: &Value| reason(status) == "Verified";
        let name = format!("q{n}");
        world.until(&name, PATIENCE, verified).await.unwrap();
        assert_eq!(world.executed(&crowd_phone(n)), 1);
    }
    world.finish_after_restart().await.unwrap();
}
