//! Lasting faults of the API server, and resources that cannot be parsed: everything else goes on,
//! and nothing loops hot.
//!
//! The bound, for a crowd of twenty resources while nothing can succeed: [`MOST`] requests per
//! second on average, [`BURST`] in the worst second (each resource tries once, then backs off by
//! itself from 5 s to 5 min).

mod away;
mod crowd;
mod flow;
mod older;
mod pruned;
mod restored;
mod slow;
mod unparsable;

use std::ops::Range;

use harness::cams_simulator::Held;
use harness::cases::*;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::OPERATOR;

/// Requests per second on average while nothing can succeed.
const MOST: f64 = 5.0;
/// Requests in the worst second of such a time.
const BURST: usize = 40;

/// How many control planes may run at a time: each takes 300 MB.
static PLANES: Semaphore = Semaphore::const_new(2);

/// A world on a control plane that a case may damage.
struct Apart {
    world: World,
    _dir: TempDir,
    _permit: SemaphorePermit<'static>,
}

async fn apart(name: &str) -> Apart {
    let permit = PLANES.acquire().await.unwrap();
    let (dir, world) = harness::cases::apart(OPERATOR, name).await;
    Apart {
        world,
        _dir: dir,
        _permit: permit,
    }
}

fn name(n: usize) -> String {
    format!("m{n}")
}

/// Submissions of a number that were received.
fn calls(world: &World, n: usize) -> Vec<Entry> {
    world.calls(&phone(n))
}

async fn verified(world: &World, n: usize) -> Value {
    let status = harness::cases::verified(world, &name(n), &phone(n)).await;
    assert_eq!(calls(world, n).len(), 1, "submissions of {}", name(n));
    status
}

/// Creates the resource without its Secret.
async fn waiting(world: &World, n: usize) {
    world.number(&phone(n), &code(n), &format!("id-{}", phone(n)));
    world.make(&Migration::new(name(n), phone(n))).await;
    reason(world, &name(n), "SecretNotFound").await;
}

/// Creates the Secret, and asks the operator to reconcile.
async fn bring_code(world: &World, n: usize) {
    world.replace_code(&name(n), &code(n)).await;
}

async fn ready(world: &World, n: usize) {
    world.migrate(&name(n), &phone(n), &code(n)).await;
}

/// An operator with a crowd: some are done, some wait for their Secrets, and some have calls in
/// flight, executed and held there. Returns the held ones.
async fn crowd(
    world: &World,
    done: Range<usize>,
    late: Range<usize>,
    under_way: Range<usize>,
) -> (Operator, Vec<u64>) {
    for n in under_way.clone() {
        world.next_call_of(&phone(n), Fault::gate(Stage::Executed));
    }
    let operator = world.start(NEVER_FINAL).await;
    for n in done.clone().chain(under_way.clone()) {
        ready(world, n).await;
    }
    for n in late {
        waiting(world, n).await;
    }
    for n in done {
        verified(world, n).await;
    }
    let mut calls = Vec::new();
    for n in under_way {
        calls.push(held(world, n).await.id);
    }
    (operator, calls)
}

/// The held request of a number.
async fn held(world: &World, n: usize) -> Held {
    let ours = |held: &Held| held.phone == Some(phone(n));
    world.sim.wait_held_where(PATIENCE, ours).await.unwrap()
}

/// The operator's requests of any namespace that were received in a span of time.
fn requests_between(world: &World, from: Timestamp, until: Timestamp) -> Vec<AuditEntry> {
    let user = world.plane.operator_user();
    let wanted = |e: &AuditEntry| e.user == user && (from..until).contains(&e.timestamp);
    world.plane.control.audit_entries(wanted).unwrap()
}

/// The most of these times, which are in order, in one second.
fn most_in_a_second(times: &[Timestamp]) -> usize {
    let from = |(n, at): (usize, &Timestamp)| {
        let within = |t: &&Timestamp| t.duration_since(*at).as_millis() < 1000;
        times[n..].iter().take_while(within).count()
    };
    times.iter().enumerate().map(from).max().unwrap_or_default()
}

/// Asserts the bound; prints the figures.
fn assert_not_hot(what: &str, times: &[Timestamp], over: Duration) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let worst = most_in_a_second(&sorted);
    let average = sorted.len() as f64 / over.as_secs_f64();
    println!(
        "{what}: {} in {over:?}, {average:.2} per second, {worst} in the worst",
        sorted.len()
    );
    assert!(average < MOST, "{what}: {average} per second");
    assert!(worst <= BURST, "{what}: {worst} in a second");
}
