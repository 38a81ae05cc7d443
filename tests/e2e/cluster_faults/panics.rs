//! A reconcile or an attempt that panics.
//!
//! No known input makes one panic, so the test injects the panic where every task passes: in the
//! log. The whole operator runs in its own process, from this test binary, with a subscriber that
//! panics at chosen lines about chosen resources.

use std::time::Duration;

use harness::{Migration, Operator, World};
use phone_migration_operator::app::config::{self, Command, Environment};
use phone_migration_operator::app::operator;
use phone_migration_operator::telemetry;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::{NEVER_FINAL, PATIENCE, assert_alive, calls, code, phone, ready, verified};

/// Lines at which a task panics, and the resource that it panics for.
const PANICS: [(&str, &str); 2] = [
    ("Status written", "visit-panics"),
    ("Attempt claimed", "attempt-panics"),
];

struct Panicking;

#[derive(Default)]
struct Line {
    message: String,
    object: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "object" => self.object = format!("{value:?}"),
            _ => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for Panicking {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let chosen = |(message, name): &(&str, &str)| {
            line.message == *message && line.object.ends_with(name)
        };
        assert!(!PANICS.iter().any(chosen), "brought in");
    }
}

/// Not a test: the operator with that subscriber, started by the test below.
#[test]
#[ignore = "run by another test as a process of its own"]
fn operator_that_panics() {
    // If a user runs it by hand with all ignored tests, it does nothing.
    let Ok(log) = std::env::var("RUST_LOG") else {
        return;
    };
    harness::control_plane::install_crypto_provider();
    let argv = ["phone-migration-operator".into()];
    let Command::Run(config) = config::parse(argv, &Environment::read().unwrap()).unwrap() else {
        panic!("not to be run");
    };
    let filter = telemetry::filter(&log).unwrap();
    let subscriber = telemetry::subscriber(config.log_format, filter, false, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber.with(Panicking)).unwrap();
    std::panic::set_hook(Box::new(telemetry::log_panic));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(operator::run(*config)).unwrap();
}

/// The flags as variables, because the test binary has its own flags.
async fn start(world: &World) -> Operator {
    let mut launch = world.launch(NEVER_FINAL).unwrap();
    let words = std::mem::take(&mut launch.args);
    let mut words = words.into_iter().peekable();
    while let Some(flag) = words.next() {
        let value = words
            .next_if(|word| !word.starts_with("--"))
            .unwrap_or("true".into());
        let variable = flag
            .trim_start_matches("--")
            .replace('-', "_")
            .to_uppercase();
        launch.env.push((format!("PHONEMIG_{variable}"), value));
    }
    let words = [
        "--ignored",
        "--exact",
        "--nocapture",
        "cluster_faults::panics::operator_that_panics",
    ];
    launch.args = words.map(str::to_owned).into();
    let mut operator = Operator::spawn(&launch).unwrap();
    operator.ready().await.unwrap();
    operator
}

fn panics(operator: &Operator) -> usize {
    operator
        .log()
        .matches("Panicked; the message is withheld")
        .count()
}

#[tokio::test]
async fn a_visit_and_an_attempt_that_panic_stop_nobody_else_and_do_not_loop() {
    let binary = std::env::current_exe().unwrap();
    let world = World::new(binary, "panics").await.unwrap();
    let mut operator = start(&world).await;
    for (n, (_, name)) in PANICS.iter().enumerate() {
        world.number(&phone(n), &code(n), &format!("id-{}", phone(n)));
        world
            .create(&Migration::new(*name, phone(n)))
            .await
            .unwrap();
    }
    // Only the attempt has a code.
    world.code("attempt-panics", &code(1)).await.unwrap();
    world.request("attempt-panics", "brought").await.unwrap();
    // The attempt died between its claim and its send: it is observed, and never sent.
    let observed = |status: &Value| harness::reason(status) == "OutcomeUnknown";
    world
        .until("attempt-panics", PATIENCE, observed)
        .await
        .unwrap();
    assert!(calls(&world, 1).is_empty());
    // Each write about the other one panics, and is made nevertheless.
    for token in ["a", "b", "c"] {
        world.request("visit-panics", token).await.unwrap();
        world
            .patch("visit-panics", json!({"spec": {"retryToken": token}}))
            .await
            .unwrap();
        let (n, tag) = (token.as_bytes()[0], format!("m{token}"));
        let (phone, code) = (phone(usize::from(n)), code(usize::from(n)));
        world.ready_migration(&tag, &phone, &code).await.unwrap();
        world.until_reason(&tag, "Verified").await.unwrap();
        assert_alive(&mut operator).await;
    }
    for n in 10..20 {
        ready(&world, n).await;
    }
    for n in 10..20 {
        verified(&world, n).await;
    }
    let seen = panics(&operator);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let more = panics(&operator) - seen;
    println!("{seen} panics, {more} in the next 5 s");
    assert!(seen >= 2 && more <= 2, "{seen} panics, {more} in 5 s");
    assert!(calls(&world, 0).is_empty());
    world.finish().await.unwrap();
}
