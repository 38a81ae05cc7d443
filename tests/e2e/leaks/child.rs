//! The operator inside this test binary, with panics at chosen places.
//!
//! A test cannot make the real binary panic, and no feature there should make that possible. So the
//! test starts itself once more as a child, and the child runs the operator's own wiring under its
//! own telemetry, plus a subscriber that panics at chosen log lines. The code that has to panic
//! writes the log line itself, in its own task.

use std::ffi::OsString;

use harness::SECURITY_TOKEN;
use phone_migration_operator::app::config::{self, Command, Environment};
use phone_migration_operator::app::operator;
use phone_migration_operator::telemetry;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::*;

/// Holds the child's arguments, one per line.
const ARGUMENTS: &str = "LEAKS_CHILD_ARGUMENTS";

/// Starts the operator inside a child of this test, which `test` names.
pub fn spawn(world: &World, test: &str, extra: &[&str]) -> Operator {
    let mut launch = world.launch(extra).unwrap();
    let own = std::env::current_exe().unwrap();
    launch.binary = &own;
    let arguments = launch.args.join("\n");
    launch.args = ["--exact", test, "--nocapture"].map(str::to_owned).into();
    launch.env.push((ARGUMENTS.to_owned(), arguments));
    Operator::spawn(&launch).unwrap()
}

/// The same, and waits until it is ready.
pub async fn start(world: &World, test: &str, extra: &[&str]) -> Operator {
    let mut operator = spawn(world, test, extra);
    operator.ready().await.unwrap();
    operator
}

/// In the child: runs the operator to its end and returns true. Otherwise returns false.
pub fn ran() -> bool {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return false;
    };
    // Off the test's own runtime.
    let operator = std::thread::spawn(move || run(&arguments));
    operator.join().unwrap();
    true
}

/// As `main.rs`, but without the hardening: the tests look into the process.
fn run(arguments: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let words = std::iter::once("operator").chain(arguments.lines());
    let words = words.map(OsString::from);
    let Command::Run(config) = config::parse(words, &Environment::read().unwrap()).unwrap() else {
        panic!("not told to run");
    };
    let filter = telemetry::filter(&std::env::var("RUST_LOG").unwrap_or_default()).unwrap();
    let subscriber = telemetry::subscriber(config.log_format, filter, false, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber.with(Panics)).unwrap();
    std::panic::set_hook(Box::new(telemetry::log_panic));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Err(error) = runtime.block_on(operator::run(*config)) {
        eprintln!("phone-migration-operator: {error}");
        std::process::exit(1);
    }
}

/// Panics at the lines of [`AT`].
struct Panics;

/// The lines at which it panics, and the name of the object in them.
pub const AT: [(&str, &str); 4] = [
    ("Status written", "panics-in-a-visit"),
    ("Attempt claimed", "panics-before-its-send"),
    ("Attempt answered", "panics-after-its-answer"),
    ("Leading: attempts may begin", ""),
];

impl<S: Subscriber> Layer<S> for Panics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let name = line.object.rsplit('/').next().unwrap_or_default();
        // With the value in its message, as an `expect` in a library would.
        assert!(
            !AT.contains(&(line.message.as_str(), name)),
            "met {SECURITY_TOKEN} in {line:?}"
        );
    }
}

#[derive(Debug, Default)]
struct Line {
    message: String,
    object: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "object" => self.object = format!("{value:?}").trim_matches('"').to_owned(),
            _ => {}
        }
    }
}
