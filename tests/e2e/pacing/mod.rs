//! The quota of the account, kept by the real binary: never more than ten calls in a second, and no
//! call throttled by the operator's own fault.
//!
//! The numbers in the names are those of the reference cases. In the ordinary run each case is a
//! short slice and judges safety alone; the whole cases, with the figures that depend on the speed
//! of the machine, are ignored ones: `cargo long pacing::`. Every case ends with `World::finish`.

use harness::cams_simulator::{self, Decision};
use harness::cases::*;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::OPERATOR;

mod cpu;
mod fairness;
mod jitter;
mod others;
mod restart;
mod starved;
mod steady;
mod throttled;
mod undocumented;
mod yardstick;

/// The quota of an account, per second and action.
const QUOTA: u32 = 10;
/// The seed of every jitter of a run.
const SEED: &str = "PHONEMIG_TEST_SEED";

fn seed() -> u64 {
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    seed
}

/// A figure that depends on the speed of the machine. With `PHONEMIG_FIGURES=report` a missed
/// figure is printed and fails nothing: for gates on machines that may be busy.
fn figure(reached: bool, what: &str) {
    let report = std::env::var("PHONEMIG_FIGURES").is_ok_and(|value| value == "report");
    if !reached && report {
        println!("FIGURE MISSED: {what}");
        return;
    }
    assert!(reached, "{what}");
}

/// At most one call in a hundred was throttled.
fn one_in_a_hundred(calls: u64, throttled: u64) {
    let what = format!("C20: throttled {throttled} of {calls}");
    figure(throttled * 100 <= calls, &what);
}

/// Cases that a busy machine would change run alone, the others in parallel.
static MACHINE: RwLock<()> = RwLock::const_new(());

async fn beside() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// A world and its resources, before any operator works on them.
async fn world_with(name: &str, resources: u32) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.fill(&world.namespace, 0..resources).await.unwrap();
    world
}

/// An operator that does not log its traffic: thousands of lines a second are a load too.
async fn operator(world: &World, flags: &[&str]) -> Operator {
    let mut operator = spawn(world, flags);
    operator.ready().await.unwrap();
    operator
}

/// The same, not waited for.
fn spawn(world: &World, flags: &[&str]) -> Operator {
    let mut launch = world.launch(flags).unwrap();
    launch.env.retain(|(name, _)| name != "RUST_LOG");
    Operator::spawn(&launch).unwrap()
}

/// As long as this many resources may take at a fifth of the rate, and the start.
fn patience(resources: u32) -> Duration {
    Duration::from_secs(30 + u64::from(resources) / 2)
}

/// Throttled calls of an action, in the order of their arrival.
fn throttled(ledger: &[Entry], action: &str) -> Vec<Entry> {
    let throttled = |e: &&Entry| e.action == action && e.decision == Decision::Throttled;
    ledger.iter().filter(throttled).cloned().collect()
}

/// Share of the quota of submissions used in the middle of the run, all but `edges` of it.
fn utilisation(ledger: &[Entry], edges: Edges) -> f64 {
    let times = cams_simulator::admitted_times(ledger, VERIFIED);
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return 0.0;
    };
    let margin = match edges {
        Edges::AllBut(middle) => {
            let middle = u64::try_from(middle.as_micros()).unwrap();
            (last - first).saturating_sub(middle) / 2
        }
        Edges::Tenth => (last - first) / 10,
    };
    cams_simulator::utilisation(&times, first + margin, last - margin, QUOTA)
}

/// The part that is left out at either end.
#[derive(Clone, Copy)]
enum Edges {
    /// Equal parts, so that this much is left.
    AllBut(Duration),
    /// A tenth of it.
    Tenth,
}

/// One line of figures, for a person who runs the whole cases.
fn tell(case: &str, world: &World, edges: Edges) {
    let ledger = world.sim.ledger();
    let summary = world.sim.summary();
    let of = |action| {
        let action = summary.action(action);
        format!(
            "{} throttled of {}, worst second {}",
            action.counts.throttled, action.counts.received, action.worst_second
        )
    };
    println!(
        "{case}: utilisation {:.2} %; submissions: {}; reads: {}",
        utilisation(&ledger, edges) * 100.0,
        of(VERIFIED),
        of(READ_STATUS)
    );
}
