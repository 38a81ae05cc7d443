//! The API server refuses requests of one kind for a while, without executing them: nothing is sent
//! twice, nothing is lost, and nothing loops.

use harness::fault_proxy::Answer;

use super::*;

/// How long it refuses.
const SPELL: Duration = Duration::from_secs(6);
/// Requests of one kind about one resource that may meet the refusal in that time.
const BOUND: usize = 12;

/// Each kind of request of an attempt, by the name of the resource that meets it.
fn kinds() -> [(&'static str, When); 5] {
    [
        ("get", When::get("phonemigrations").name("get")),
        ("secret", secret_of("secret")),
        ("claim", claim_of("claim")),
        ("outcome", outcome_of("outcome")),
        ("event", event_of("event")),
    ]
}

/// The labels under which failures to record were counted.
fn failures_by_status(metrics: &str) -> Vec<&str> {
    const NAME: &str = "phonemigration_record_failures_total{code=\"";
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(NAME));
    let counted = samples.filter_map(|sample| sample.split_once("\"} "));
    let some = counted.filter(|(_, count)| *count != "0");
    some.map(|(code, _)| code).collect()
}

/// A conflict is not a failure.
fn failures_of(status: u16) -> &'static [&'static str] {
    match status {
        409 => &[],
        429 => &["429"],
        _ => &["5xx"],
    }
}

async fn refused_with(status: u16) {
    let case = format!("refused-{status}");
    let world = World::new(OPERATOR, &case).await.unwrap();
    let (proxy, mut operator) = world.proxied(NEVER_FINAL).await;
    let answer = || Then::Answer(Answer::new(status).retry_after(1));
    let refuse = |(_, when): (_, When)| proxy.rule(when, answer());
    let rules: Vec<Rule> = kinds().into_iter().map(refuse).collect();
    let start = Instant::now();
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    tokio::time::sleep_until(start + SPELL).await;
    let spells = start.elapsed().as_secs_f64() / SPELL.as_secs_f64();
    let bound = (BOUND as f64 * spells) as usize;
    for ((name, _), rule) in kinds().into_iter().zip(&rules) {
        let hits = rule.hits();
        println!("{status} on {name}: {hits} requests in {SPELL:?}");
        assert!(hits <= bound, "{status} on {name}: {hits} requests");
    }
    let metrics = operator.http("/metrics").await.unwrap();
    let failures = failures_by_status(&metrics);
    assert_eq!(failures, failures_of(status), "{status}");
    drop(rules);
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        let status = by_one_call(&world, name, &phone(n)).await;
        assert_eq!(status["attempt"]["number"], 1, "{status}");
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn refusals_that_go_on_for_a_while_are_no_hot_loop_and_lose_nothing() {
    for_each_row([409, 429, 500, 504], refused_with).await;
}

/// The operator writes the finding of a read by another path than the reply of a call.
#[tokio::test]
async fn conflicts_of_what_a_read_found_are_no_hot_loop_and_lose_nothing() {
    let world = World::new(OPERATOR, "refused-read").await.unwrap();
    let (proxy, number) = (world.proxy().await.unwrap(), phone(1));
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.next_call(Fault::close(Stage::Executed));
    let found = |body: &Value| body["status"]["reason"] == "Verified";
    let adoption = When::update("phonemigrations/status").body("adoption", found);
    let refused = proxy.rule(adoption, Then::answer(409));
    world.migrate("found", &number, &code(1)).await;
    refused.hit().await.unwrap();
    let start = Instant::now();
    tokio::time::sleep_until(start + SPELL).await;
    let (hits, spells) = (refused.hits(), start.elapsed().div_duration_f64(SPELL));
    assert!(hits <= (BOUND as f64 * spells) as usize, "{hits} requests");
    refused.remove();
    verified(&world, "found", &number).await;
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}

/// Priority and fairness: every request of the operator is refused.
async fn c13_for(name: &str, spell: Duration) {
    const RESOURCES: usize = 20;
    let world = World::new(OPERATOR, name).await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    // Known before the spell; one evaluation each is then in flight.
    let busy = Then::Answer(Answer::new(429).retry_after(1));
    let hold = proxy.rule(When::get("secrets"), Then::Hold);
    for n in 0..RESOURCES {
        let name = format!("m-{n}");
        world.migrate(&name, &phone(n), &code(n)).await;
    }
    hold.hit().await.unwrap();
    let refused = proxy.rule(When::any(), busy);
    let start = Instant::now();
    hold.remove();
    proxy.cut();
    tokio::time::sleep(spell).await;
    let (hits, took) = (refused.hits(), start.elapsed());
    println!("C13: {hits} requests in {took:.1?}");
    // One evaluation for each resource, and five a second.
    let bound = RESOURCES + 5 * took.as_secs_f64().ceil() as usize;
    assert!(hits <= bound, "{hits} requests in {took:?}");
    refused.remove();
    for n in 0..RESOURCES {
        by_one_execution(&world, &format!("m-{n}"), &phone(n)).await;
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c13_a_busy_api_server_is_not_hammered() {
    c13_for("v13", Duration::from_secs(8)).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn c13_an_api_server_that_is_busy_for_twenty_seconds_is_not_hammered() {
    c13_for("v13-long", Duration::from_secs(20)).await;
}
