//! A crowd that waits for its codes.

use jiff::Timestamp;

use super::*;

const RESOURCES: usize = 300;
/// Polls of Secrets that are awaited before the judgement.
const POLLS: f64 = 250.0;
/// The most turns of others between two turns of a resource alone in its namespace: 10 s of them.
const MOST_BETWEEN: usize = 200;
/// The most Secrets that are read in a second: 20, and the late ones.
const MOST_IN_A_SECOND: usize = 50;

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
    let enough = async || sum(operator, metric, with).await >= least;
    until_asked(&format!("{metric} {with}: {least}"), enough).await;
}

async fn until_at_most(operator: &mut Operator, metric: &str, with: &str, most: f64) {
    let few = async || sum(operator, metric, with).await <= most;
    until_asked(&format!("{metric} {with}: {most}"), few).await;
}

/// The answer for a missing Secret.
const ABSENT: &str = "code=\"404\"";
const ANSWERS: &str = "rest_client_requests_total";

/// An operator, and a crowd in which each resource was reconciled once.
async fn crowd(world: &World, flags: &[&str]) -> Operator {
    let mut operator = world.start(flags).await;
    for n in 0..RESOURCES {
        let phone = format!("8613861{n:06}");
        world.make(&Migration::new(name(n), phone)).await;
    }
    let (objects, waiting) = ("phonemigration_objects", "\"SecretNotFound\"");
    until_at_least(&mut operator, objects, waiting, RESOURCES as f64).await;
    operator
}

/// The times of Secret reads in a namespace since then.
fn reads_of(world: &World, namespace: &str, since: Timestamp) -> Vec<Timestamp> {
    let user = world.plane.operator_user();
    let read = |e: &AuditEntry| {
        e.user == user
            && e.resource == "secrets"
            && e.namespace == namespace
            && e.timestamp >= since
    };
    let entries = world.plane.control.audit_entries(read).unwrap();
    let mut times: Vec<_> = entries.iter().map(|e| e.timestamp).collect();
    times.sort_unstable();
    times
}

/// The most reads of the crowd between two of the one that is alone, or since its last one.
fn most_between(crowd: &[Timestamp], alone: &[Timestamp]) -> usize {
    let ends = alone.iter().skip(1).copied().chain([Timestamp::MAX]);
    let gaps = alone.iter().zip(ends);
    let between = gaps.map(|(from, until)| {
        let within = |at: &&Timestamp| (*from..until).contains(at);
        crowd.iter().filter(within).count()
    });
    between.max().expect("it was never polled")
}

/// More resources are due than may poll their Secrets: each waits for its own turn, instead of
/// asking for the next free one again and again. A resource of another namespace does not wait
/// behind them. And a process that starts with all of them reads no faster.
#[tokio::test]
async fn a_crowd_without_secrets_is_no_hot_loop_and_holds_nobody_else_up() {
    let world = World::new(OPERATOR, "crowd").await.unwrap();
    let (elsewhere, namespaces) = world.second_namespace("alone").await;
    let flags = [NEVER_FINAL, &["--watch-namespaces", &namespaces]].concat();
    let mut operator = crowd(&world, &flags).await;
    let alone = Migration::new("alone", "8613863000001");
    world.create_in(&elsewhere, &alone).await.unwrap();
    let (objects, waiting) = ("phonemigration_objects", "\"SecretNotFound\"");
    until_at_least(&mut operator, objects, waiting, RESOURCES as f64 + 1.0).await;
    let began = Timestamp::now();
    let visits = "controller_runtime_reconcile_total";
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    let visited = sum(&mut operator, visits, "").await;
    until_at_least(&mut operator, ANSWERS, ABSENT, asked + POLLS).await;
    let polls = sum(&mut operator, ANSWERS, ABSENT).await - asked;
    let visits = sum(&mut operator, visits, "").await - visited;
    println!("{visits} visits for {polls} polls");
    // One reconcile in its turn, and a few from before.
    assert!(visits <= 2.0 * polls + 3.0 * RESOURCES as f64);
    let crowd = reads_of(&world, &world.namespace, began);
    let between = most_between(&crowd, &reads_of(&world, &elsewhere, began));
    println!("at most {between} of the crowd between two polls of the one that is alone");
    assert!(between <= MOST_BETWEEN, "{between}");
    operator.kill().await.unwrap();
    let restarted = Timestamp::now();
    let mut operator = world.start(&flags).await;
    until_at_least(&mut operator, ANSWERS, ABSENT, 100.0).await;
    let worst = most_in_a_second(&reads_of(&world, &world.namespace, restarted));
    println!("{worst} Secrets in the worst second after the restart");
    assert!(worst <= MOST_IN_A_SECOND, "{worst}");
    world.finish().await.unwrap();
}

/// Resources that share a number with the verified one; and how many of them are deleted.
const DUPLICATES: usize = 40;
const DELETED: usize = 30;
/// Reconciles meanwhile: polls of the remaining ones. If each deletion woke all of these, there
/// would be 735 more.
const MOST_VISITS: f64 = 200.0;

/// No resource waits for the end of a duplicate: the deletion of a duplicate reconciles none of the
/// remaining ones. The deletion of the verified one reconciles all of them, and one of them adopts
/// the number.
#[tokio::test]
async fn the_end_of_a_duplicate_wakes_nobody() {
    let world = World::new(OPERATOR, "fan-out").await.unwrap();
    let mut operator = world.start(NEVER_FINAL).await;
    let (phone, right) = ("8613864000001", "40718265");
    world.number(phone, right, "id-1");
    world.migrate("first", phone, right).await;
    reason(&world, "first", "Verified").await;
    for n in 0..DUPLICATES {
        let code = format!("5523{n:04}");
        world.code(&name(n), &code).await.unwrap();
        world.make(&Migration::new(name(n), phone)).await;
    }
    let (objects, duplicates) = ("phonemigration_objects", "\"DuplicatePhoneNumber\"");
    until_at_least(&mut operator, objects, duplicates, DUPLICATES as f64).await;
    let visits = "controller_runtime_reconcile_total";
    let before = sum(&mut operator, visits, "").await;
    for n in 0..DELETED {
        world.delete(&name(n)).await.unwrap();
    }
    let left = (DUPLICATES - DELETED) as f64;
    until_at_most(&mut operator, objects, duplicates, left).await;
    let visits = sum(&mut operator, visits, "").await - before;
    println!("{visits} visits while {DELETED} of {DUPLICATES} are deleted");
    assert!(visits <= MOST_VISITS, "{visits}");
    world.delete("first").await.unwrap();
    let (objects, verified) = ("phonemigration_objects", "\"Verified\"");
    until_at_most(&mut operator, objects, duplicates, left - 1.0).await;
    until_at_least(&mut operator, objects, verified, 1.0).await;
    world.finish().await.unwrap();
}

/// Its next attempt starts as soon as its turn comes, and not after the whole crowd has polled.
#[tokio::test]
async fn a_throttled_code_does_not_stand_in_line_with_the_crowd() {
    let world = World::new(OPERATOR, "urgent").await.unwrap();
    let mut operator = crowd(&world, NEVER_FINAL).await;
    // Until the line is long: every resource is due after 5 s, and 20 poll in a second.
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    until_at_least(&mut operator, ANSWERS, ABSENT, asked + 100.0).await;
    world.next_call(busy(1000));
    world.migrate("urgent", "8613862000001", "40718265").await;
    reason(&world, "urgent", "Throttled").await;
    let asked = sum(&mut operator, ANSWERS, ABSENT).await;
    reason(&world, "urgent", "Verified").await;
    let looks = sum(&mut operator, ANSWERS, ABSENT).await - asked;
    println!("{looks} looks of the crowd meanwhile");
    assert!(looks < 100.0, "{looks}");
    world.finish().await.unwrap();
}
