//! C02: many resources, and kills at random moments.

use harness::cams_simulator::Decision;
use harness::{Seed, for_each_seed};
use tokio::time::sleep_until;

use super::*;

/// Every so many resources one has a wrong code.
const WRONG_EVERY: usize = 7;

/// Numbers of resources by end.
#[derive(Debug, Default)]
struct Ends {
    verified: usize,
    refused: usize,
    /// Executed and refused, the answer lost.
    refused_unknown: usize,
    /// Never executed; claimed by a process that died.
    unsent_unknown: usize,
    open: usize,
}

fn is_wrong(n: usize) -> bool {
    n % WRONG_EVERY == WRONG_EVERY - 1
}

async fn give(world: &World, resources: usize) {
    for n in 0..resources {
        let right = if is_wrong(n) { "73990000" } else { &code(n) };
        let name = format!("m-{n}");
        world.offer(&name, &phone(n), &code(n), right).await;
    }
}

/// Waits until nothing is open, and counts the ends; fails if a resource ended in a wrong state.
async fn settled(world: &World, resources: usize, within: Duration) -> Ends {
    let deadline = Instant::now() + within;
    loop {
        let ends = ends(world, resources).await;
        if ends.open == 0 {
            return ends;
        }
        assert!(Instant::now() < deadline, "not settled: {ends:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn ends(world: &World, resources: usize) -> Ends {
    let objects = world.list().await.unwrap();
    let mut ends = Ends::default();
    for n in 0..resources {
        let (name, number) = (format!("m-{n}"), phone(n));
        let object = objects.iter().find(|o| o["metadata"]["name"] == *name);
        let status = &object.unwrap()["status"];
        let mut executions = world.calls(&number);
        executions.retain(Entry::executed);
        assert!(executions.len() <= 1, "{name} was executed twice");
        let decision = executions.first().map(|e| e.decision);
        match (harness::reason(status), decision) {
            ("Verified", Some(Decision::Accepted)) if status["id"] == format!("id-{number}") => {
                ends.verified += 1;
            }
            ("CodeRejected", Some(Decision::Refused)) => ends.refused += 1,
            ("OutcomeUnknown", Some(Decision::Refused)) => ends.refused_unknown += 1,
            ("OutcomeUnknown", None) => ends.unsent_unknown += 1,
            // A read will find it.
            ("OutcomeUnknown", Some(Decision::Accepted)) => ends.open += 1,
            ("Verified" | "CodeRejected", _) => panic!("{name} {decision:?}: {status}"),
            (_, _) => ends.open += 1,
        }
    }
    ends
}

async fn replace(world: &World, operator: &mut Operator) {
    operator.kill().await.unwrap();
    world.note("killed");
    *operator = world.start(NEVER_FINAL).await;
}

fn executions(world: &World) -> usize {
    world.sim.summary().action(VERIFIED).counts.executed as usize
}

/// Killed and replaced three times during the work.
#[tokio::test]
async fn c02_killed_operators_send_each_code_at_most_once_and_lose_nothing() {
    let run = async |seed: Seed| {
        let mut rng = seed.rng();
        let world = World::new(OPERATOR, "c02").await.unwrap();
        world.sim.set_processing(300);
        let mut operator = world.start(NEVER_FINAL).await;
        give(&world, 20).await;
        for kill in 0..3 {
            let after = kill * 4 + rng.usize(1..=4);
            let pause = Duration::from_millis(rng.u64(0..=400));
            seed.plan(format!("kill {pause:?} after execution {after}"));
            // Claims whose process died are never executed.
            let enough = || executions(&world) >= after;
            until("a few more are executed", enough).await;
            tokio::time::sleep(pause).await;
            replace(&world, &mut operator).await;
        }
        let ends = settled(&world, 20, PATIENCE).await;
        seed.plan(format!("{ends:?}"));
        let max = (0..20).map(|n| world.executed(&phone(n))).max();
        assert_eq!(max, Some(1));
        world.finish().await.unwrap();
    };
    for_each_seed("c02", run).await.unwrap();
}

/// From the first resource until all are settled, killed at `kills` after it.
async fn timed(name: &str, resources: usize, kills: &[Duration]) -> (Duration, Ends) {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.sim.set_processing(500);
    let mut operator = world.start(NEVER_FINAL).await;
    let start = Instant::now();
    let killing = async {
        for after in kills {
            sleep_until(start + *after).await;
            replace(&world, &mut operator).await;
        }
    };
    tokio::join!(give(&world, resources), killing);
    let ends = settled(&world, resources, Duration::from_secs(300)).await;
    let took = start.elapsed();
    world.finish().await.unwrap();
    (took, ends)
}

/// Prints its time next to the time of an undisturbed run.
#[tokio::test]
#[ignore = "takes two minutes"]
async fn c02_three_hundred_resources_and_five_kills_cost_time_only() {
    const RESOURCES: usize = 300;
    let (undisturbed, ends) = timed("c02-calm", RESOURCES, &[]).await;
    assert_eq!(ends.refused_unknown + ends.unsent_unknown, 0, "{ends:?}");
    println!("C02 undisturbed: {undisturbed:.1?}, {ends:?}");
    let run = async |seed: Seed| {
        let mut rng = seed.rng();
        // During the work: the first ones are sent after about a second.
        let moment = |_| Duration::from_millis(rng.u64(1500..35_000));
        let mut kills: Vec<Duration> = (0..5).map(moment).collect();
        kills.sort_unstable();
        seed.plan(format!("kills at {kills:?}"));
        let (took, ends) = timed("c02-kills", RESOURCES, &kills).await;
        let over = took.as_secs_f64() / undisturbed.as_secs_f64() - 1.0;
        println!(
            "C02 seed {}: kills at {kills:?}: {took:.1?} ({:+.0} %), {ends:?}, executed twice 0, lost 0",
            seed.value(),
            over * 100.0
        );
    };
    for_each_seed("c02 long", run).await.unwrap();
}
