//! The ten-back rule as the server sees it, measured against the steadiness of the machine: a
//! machine that stops the simulator's thread makes calls arrive late, and closer to the next ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;

const TICK: Duration = Duration::from_millis(1);
/// Lateness below this is within the allowance that a pacer begins with.
const USUAL: Duration = Duration::from_millis(5);
/// No machine excuses more: without the rule, the spacing alone leaves 800 ms.
const MOST: Duration = Duration::from_millis(150);
const WINDOW_US: u64 = 1_000_000;

/// A thread that sleeps for a millisecond at a time and records how much it overslept.
pub struct Yardstick {
    worst_us: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Yardstick {
    pub fn start() -> Self {
        let (worst_us, stop): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let (noted, told) = (Arc::clone(&worst_us), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !AtomicBool::load(&told, Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(TICK);
                noted.fetch_max(micros(before.elapsed() - TICK), Ordering::Relaxed);
            }
        });
        Self {
            worst_us,
            stop,
            thread: Some(thread),
        }
    }

    /// By how much two threads of this machine may have moved two arrivals towards each other; zero
    /// on a quiet machine.
    fn slack_us(&self) -> u64 {
        let worst = self.worst_us.load(Ordering::Relaxed);
        if worst < micros(USUAL) {
            0
        } else {
            (2 * worst).min(micros(MOST))
        }
    }

    /// No eleven calls of an action in one second, throttled ones included.
    pub fn assert_ten_back(&self, world: &World) {
        let slack = self.slack_us();
        for action in [VERIFIED, READ_STATUS] {
            let times = counted(&world.sim.ledger(), action);
            let back = QUOTA as usize;
            let gaps = times.iter().zip(times.iter().skip(back));
            let shortest = gaps.map(|(first, last)| last - first).min();
            println!("{action}: eleven calls in {shortest:?} us at least, slack {slack} us");
            let kept = shortest.is_none_or(|gap| gap + slack > WINDOW_US);
            assert!(
                kept,
                "eleven {action} within {shortest:?} us, slack {slack} us"
            );
        }
    }
}

/// When the quota counted the calls of an action, in order.
fn counted(ledger: &[Entry], action: &str) -> Vec<u64> {
    let of = ledger.iter().filter(|e| e.action == action);
    let mut times: Vec<u64> = of.filter_map(|e| e.counted_us).collect();
    times.sort_unstable();
    times
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
