//! The API server is unavailable for a time.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use harness::cams_simulator::Delivery;
use jiff::Timestamp;

use super::*;

/// Listens in place of the API server, and records the connections.
struct Door {
    knocks: Arc<Mutex<Vec<Timestamp>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    fn open(url: &str) -> Self {
        let address = url.trim_start_matches("https://");
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let knocks: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
        let noted = Arc::clone(&knocks);
        let task = tokio::spawn(async move {
            // Each connection is closed at once, as a refused one would be.
            while let Ok((visitor, _)) = listener.accept().await {
                noted.lock().unwrap().push(Timestamp::now());
                drop(visitor);
            }
        });
        Self { knocks, task }
    }

    async fn close(self) -> Vec<Timestamp> {
        self.task.abort();
        let _ = self.task.await;
        let knocks = self.knocks.lock().unwrap();
        knocks.clone()
    }
}

async fn answered(world: &World, n: usize) {
    let replied = |e: &Entry| {
        e.phone == Some(phone(n)) && e.action == VERIFIED && e.delivery == Delivery::Complete
    };
    let told = world.sim.wait_entry(PATIENCE, replied).await;
    assert!(told.is_some());
}

/// Four are done, twelve wait for their Secrets, and four have calls in flight.
async fn away_for(name: &str, time: Duration) {
    let apart = apart(name).await;
    let world = &apart.world;
    let (mut operator, under_way) = crowd(world, 0..4, 4..16, 16..20).await;
    world.plane.control.stop_apiserver();
    let door = Door::open(&world.plane.control.url());
    for id in under_way {
        assert!(world.sim.release(id, Release::Continue));
    }
    for n in 16..20 {
        answered(world, n).await;
    }
    tokio::time::sleep(time).await;
    assert_alive(&mut operator).await;
    let knocks = door.close().await;
    assert!(!knocks.is_empty(), "nobody tried");
    assert_not_hot("connections while the API server is away", &knocks, time);
    let back = Timestamp::now();
    world.plane.control.start_apiserver().await.unwrap();
    for n in 16..20 {
        let status = verified(world, n).await;
        // From memory, not found by a read.
        assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    }
    for n in 4..16 {
        bring_code(world, n).await;
    }
    for n in 4..16 {
        verified(world, n).await;
    }
    let after = requests_between(world, back, Timestamp::now());
    println!(
        "{} requests from its return until all were verified",
        after.len()
    );
    assert_eq!((0..20).map(|n| calls(world, n).len()).sum::<usize>(), 20);
    world.finish_after_restart().await.unwrap();
}

#[tokio::test]
async fn an_api_server_away_for_20_s_is_not_besieged_and_everything_goes_on() {
    away_for("away", Duration::from_secs(20)).await;
}

/// The long case.
#[tokio::test]
#[ignore = "takes six minutes"]
async fn an_api_server_away_for_5_minutes_is_not_besieged_and_everything_goes_on() {
    away_for("away-long", Duration::from_secs(300)).await;
}
