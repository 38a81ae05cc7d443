//! etcd does not answer for a time: the API server runs, and every request hangs.

use jiff::Timestamp;

use super::*;

const PAUSE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_etcd_that_is_silent_for_20_s_is_not_besieged_and_everything_goes_on() {
    let apart = apart("slow").await;
    let world = &apart.world;
    let (mut operator, under_way) = crowd(world, 0..2, 2..14, 14..18).await;
    let (from, began) = (Timestamp::now(), Instant::now());
    world.plane.control.pause_etcd().unwrap();
    for id in under_way {
        assert!(world.sim.release(id, Release::Continue));
    }
    tokio::time::sleep_until(began + PAUSE).await;
    let until = Timestamp::now();
    assert_alive(&mut operator).await;
    world.plane.control.resume_etcd().unwrap();
    for n in 14..18 {
        let status = verified(world, n).await;
        assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    }
    for n in 2..14 {
        bring_code(world, n).await;
    }
    for n in 2..14 {
        verified(world, n).await;
    }
    // The audit log records requests when they end, so only now all of them are there.
    let requests = requests_between(world, from, until);
    assert!(!requests.is_empty(), "nobody tried");
    let times: Vec<Timestamp> = requests.iter().map(|r| r.timestamp).collect();
    assert_not_hot("requests while etcd is silent", &times, PAUSE);
    world.finish_after_restart().await.unwrap();
}
