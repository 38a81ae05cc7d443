//! Is the path as steady as the case supposes? A machine that stops the simulator's thread for
//! longer than the allowance makes calls arrive late, and a throttle then is the machine's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::World;
use harness::cams_simulator::Decision;

use crate::QUOTA;

/// Half of the allowance that a pacer begins with: the network has some as well.
const STALL: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(1);
/// How far back a late call matters.
const WINDOW_US: u64 = 1_100_000;
/// More throttles than this are nobody's fault but the operator's.
const MOST_EXCUSED: u64 = 20;

/// A thread that sleeps for a millisecond at a time and notes when it woke up late, by the
/// simulator's clock.
pub struct Yardstick {
    stalls_us: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Yardstick {
    pub fn start(world: &World) -> Self {
        let (stalls_us, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::default());
        let (noted, told) = (Arc::clone(&stalls_us), Arc::clone(&stop));
        let begin_us = world.sim.now_us();
        let begin = std::time::Instant::now();
        let thread = std::thread::spawn(move || {
            while !AtomicBool::load(&told, Ordering::Relaxed) {
                let before = std::time::Instant::now();
                std::thread::sleep(TICK);
                if before.elapsed() > TICK + STALL {
                    let since = u64::try_from(begin.elapsed().as_micros()).unwrap();
                    noted.lock().unwrap().push(begin_us + since);
                }
            }
        });
        Self {
            stalls_us,
            stop,
            thread: Some(thread),
        }
    }

    /// No call was throttled, except where the machine stood still within the second before.
    pub fn assert_not_throttled(&self, world: &World) {
        let stalls = self.stalls_us.lock().unwrap().clone();
        let mut excused = 0;
        for entry in world.sim.ledger() {
            if entry.decision != Decision::Throttled {
                continue;
            }
            let at = entry.counted_us.unwrap_or(entry.arrived_us);
            let stalled = stalls
                .iter()
                .any(|s| (at - WINDOW_US..=at + WINDOW_US).contains(s));
            assert!(stalled, "throttled on a steady path: {entry:#?}");
            excused += 1;
        }
        let received = world.sim.summary().total.received;
        println!(
            "{} stalls of the machine, {excused} throttles with them",
            stalls.len()
        );
        assert!(
            excused * MOST_EXCUSED <= received,
            "{excused} of {received}"
        );
        for action in world.sim.summary().actions {
            let counts = action.counts;
            let most = u64::from(QUOTA) + counts.throttled;
            assert!(action.worst_second <= most, "{action:?}");
        }
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
