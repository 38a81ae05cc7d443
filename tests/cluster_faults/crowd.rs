//! A crowd that waits for its codes.

use harness::cams_simulator::{Fault, FaultRule, Refusal, Stage, VERIFIED};
use harness::expect::reason;
use harness::{Migration, Operator, World};
use tokio::time::Instant;

use crate::{NEVER_FINAL, OPERATOR, PATIENCE, name};

const RESOURCES: usize = 300;
/// Secrets that are looked for again before the judgement: more than one round.
const POLLS: f64 = 400.0;

/// The sum of all samples of a metric whose line holds `with`.
async fn sum(operator: &mut Operator, metric: &str, with: &str) -> f64 {
    let text = operator.http("/metrics").await.unwrap();
    let start = format!("{metric}{{");
    text.lines()
        .filter(|line| line.starts_with(&start) && line.contains(with))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

async fn until_at_least(operator: &mut Operator, metric: &str, with: &str, least: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sum = sum(operator, metric, with).await;
        if sum >= least {
            return;
        }
        assert!(Instant::now() < deadline, "{metric} {with}: {sum}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// The answer to a Secret that is not there.
const ABSENT: &str = "code=\"404\"";
const ANSWERS: &str = "rest_client_requests_total";

/// An operator, and a crowd that has been looked at once.
async fn crowd(world: &World) -> Operator {
    let mut operator = world.operator(NEVER_FINAL).await.unwrap();
    for n in 0..RESOURCES {
        let phone = format!("8613861{n:06}");
        world.create(&Migration::new(name(n), phone)).await.unwrap();
    }
    let (objects, waiting) = ("phonemigration_objects", "\"SecretNotFound\"");
    until_at_least(&mut operator, objects, waiting, RESOURCES as f64).await;
    operator
}

/// More are due than may look for their Secrets: each waits for its own moment, instead of asking for
/// the next free one again and again.
#[tokio::test]
async fn a_crowd_without_secrets_is_no_hot_loop() {
    let world = World::new(OPERATOR, "crowd").await.unwrap();
    let mut operator = crowd(&world).await;
    let visits = "controller_runtime_reconcile_total";
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    let visited = sum(&mut operator, visits, "").await;
    until_at_least(&mut operator, ANSWERS, ABSENT, asked + POLLS).await;
    let polls = sum(&mut operator, ANSWERS, ABSENT).await - asked;
    let visits = sum(&mut operator, visits, "").await - visited;
    println!("{visits} visits for {polls} polls");
    // One to be given a moment, one in it, and a few from before.
    assert!(visits <= 2.0 * polls + 3.0 * RESOURCES as f64);
    world.finish().await.unwrap();
}

/// Its next attempt is as soon as its turn comes, and not when the crowd has looked.
#[tokio::test]
async fn a_throttled_code_does_not_stand_in_line_with_the_crowd() {
    let world = World::new(OPERATOR, "urgent").await.unwrap();
    let mut operator = crowd(&world).await;
    // Until the line is long: everybody is due after 5 s, and 20 look in a second.
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    until_at_least(&mut operator, ANSWERS, ABSENT, asked + 100.0).await;
    let busy = Refusal::new(400, "Throttling.User", "busy").retry_after_ms(1000);
    let rule = FaultRule::new(Fault::api(Stage::Counted, busy)).action(VERIFIED);
    world.sim.add_fault(rule.once()).unwrap();
    let ready = world.ready_migration("urgent", "8613862000001", "40718265");
    ready.await.unwrap();
    reason(&world, "urgent", "Throttled").await;
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    reason(&world, "urgent", "Verified").await;
    let looks = sum(&mut operator, ANSWERS, ABSENT).await - asked;
    println!("{looks} looks of the crowd meanwhile");
    assert!(looks < 100.0, "{looks}");
    world.finish().await.unwrap();
}
