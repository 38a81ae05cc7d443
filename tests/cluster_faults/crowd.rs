//! A crowd that waits for its codes.

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

/// More are due than may look for their Secrets: each waits for its own moment, instead of asking for
/// the next free one again and again.
#[tokio::test]
async fn a_crowd_without_secrets_is_no_hot_loop() {
    let world = World::new(OPERATOR, "crowd").await.unwrap();
    let mut operator = world.operator(NEVER_FINAL).await.unwrap();
    for n in 0..RESOURCES {
        let phone = format!("8613861{n:06}");
        world.create(&Migration::new(name(n), phone)).await.unwrap();
    }
    let (objects, waiting) = ("phonemigration_objects", "\"SecretNotFound\"");
    let crowd = RESOURCES as f64;
    until_at_least(&mut operator, objects, waiting, crowd).await;
    let (answers, absent) = ("rest_client_requests_total", "code=\"404\"");
    let visits = "controller_runtime_reconcile_total";
    let asked = sum(&mut operator, answers, absent).await;
    let visited = sum(&mut operator, visits, "").await;
    until_at_least(&mut operator, answers, absent, asked + POLLS).await;
    let polls = sum(&mut operator, answers, absent).await - asked;
    let visits = sum(&mut operator, visits, "").await - visited;
    println!("{visits} visits for {polls} polls");
    // One to be given a moment, one in it, and a few from before.
    assert!(visits <= 2.0 * polls + 3.0 * crowd);
    world.finish().await.unwrap();
}
