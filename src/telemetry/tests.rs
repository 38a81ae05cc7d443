//! What the operator may log, proven on captured output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::client::{Body, Client};
use rustix::process::{dumpable_behavior, getrlimit};
use serde_json::Value;

use super::*;

const CANARY: &str = "CANARY-828798";

/// The output of a subscriber, readable while the subscriber writes.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Captured;

    fn make_writer(&self) -> Captured {
        self.clone()
    }
}

fn logs_of(format: LogFormat, rust_log: &str, work: impl FnOnce()) -> String {
    let captured = Captured::default();
    let subscriber = subscriber(format, filter(rust_log).unwrap(), false, captured.clone());
    tracing::subscriber::with_default(subscriber, work);
    captured.text()
}

#[test]
fn below_the_cap_the_setting_decides() {
    let table = [
        ("", OWN_TARGET, Level::INFO, true),
        ("", OWN_TARGET, Level::DEBUG, false),
        ("", "kube_runtime", Level::WARN, true),
        ("", "kube_client", Level::ERROR, true),
        (
            "debug",
            "phone_migration_operator::attempt",
            Level::DEBUG,
            true,
        ),
        (
            "trace",
            "phone_migration_operator::cams::client",
            Level::TRACE,
            true,
        ),
        (
            "phone_migration_operator=debug",
            OWN_TARGET,
            Level::DEBUG,
            true,
        ),
        (
            "phone_migration_operator=debug",
            "kube_runtime",
            Level::ERROR,
            false,
        ),
        ("error", OWN_TARGET, Level::WARN, false),
        ("off", OWN_TARGET, Level::ERROR, false),
    ];
    for (rust_log, target, level, allowed) in table {
        let filter = filter(rust_log).unwrap();
        assert_eq!(
            filter.allows(target, level),
            allowed,
            "{rust_log} {target} {level}"
        );
    }
}

#[test]
fn an_unreadable_setting_says_how_to_write_it() {
    for text in [
        "inof",
        "info,tarce",
        "phone_migration_operator=loud",
        "info,[span{code=1}]=trace",
    ] {
        let line = filter(text).unwrap_err().to_string();
        assert!(line.starts_with("RUST_LOG: "), "{line}");
        assert!(line.ends_with("separated by commas"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}

/// A Secret in a reply that kube cannot parse, as a broken proxy would deliver it.
fn read_broken_secret() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let broken = || {
        let body = format!(r#"{{"kind":"Secret","metadata":1,"data":{{"code":"{CANARY}"}}}}"#);
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(body.into_bytes())))
    };
    let service = tower::service_fn(move |_: Request<Body>| std::future::ready(broken()));
    runtime.block_on(async {
        let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
            kube::Api::namespaced(Client::new(service, "tenant-a"), "tenant-a");
        let error = secrets.get("store-42-code").await.unwrap_err();
        tracing::info!(target: OWN_TARGET, %error, "Read failed");
    });
}

#[test]
fn a_reply_body_that_kube_dumps_is_not_logged() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let logs = logs_of(format, "trace", read_broken_secret);
        assert!(logs.contains("Read failed"), "{logs}");
        assert!(!logs.contains(CANARY), "{logs}");
    }
}

/// Without this, the test above could pass because kube no longer dumps bodies.
#[test]
fn kube_does_dump_the_body_when_nothing_stops_it() {
    let captured = Captured::default();
    let layer = tracing_subscriber::fmt::layer().with_writer(captured.clone());
    let uncapped = Registry::default().with(layer);
    tracing::subscriber::with_default(uncapped, read_broken_secret);
    assert!(captured.text().contains(CANARY));
}

#[test]
fn a_json_line_has_its_fields_on_top() {
    let logs = logs_of(LogFormat::Json, "info", || {
        tracing::info!(target: OWN_TARGET, namespace = "tenant-a", "Recorded an outcome");
    });
    let line: Value = serde_json::from_str(logs.trim_end()).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "Recorded an outcome");
    assert_eq!(line["namespace"], "tenant-a");
}

#[test]
fn a_panic_gives_its_place_and_not_its_message() {
    const THREAD: &str = "panics-with-a-canary";
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(THREAD) {
            log_panic(panic);
        } else {
            previous(panic);
        }
    }));
    static LINE: AtomicU32 = AtomicU32::new(0);
    let thread = std::thread::Builder::new()
        .name(THREAD.to_owned())
        .spawn(|| {
            logs_of(LogFormat::Json, "info", || {
                let caught = std::panic::catch_unwind(|| {
                    LINE.store(line!() + 1, Ordering::SeqCst);
                    panic!("{CANARY}");
                });
                assert!(caught.is_err());
            })
        });
    let logs = thread.unwrap().join().unwrap();
    assert_eq!(logs.lines().count(), 1, "{logs}");
    assert!(!logs.contains(CANARY), "{logs}");
    let logged: Value = serde_json::from_str(logs.trim_end()).unwrap();
    let location = logged["location"].as_str().unwrap();
    assert!(location.contains(file!()), "{location}");
    let line = LINE.load(Ordering::SeqCst);
    assert!(location.contains(&format!(":{line}:")), "{location}");
}

/// `check` and the other commands that do not log panic like `run`. The hook belongs to the
/// process, so the test runs itself again as a child.
#[test]
fn without_a_log_a_panic_gives_its_place_on_stderr_and_not_its_message() {
    const CHILD: &str = "TELEMETRY_PANICS";
    if std::env::var_os(CHILD).is_some() {
        withhold_panics();
        panic!("{CANARY}");
    }
    let name =
        "telemetry::tests::without_a_log_a_panic_gives_its_place_on_stderr_and_not_its_message";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success());
    assert!(
        told.contains(&format!("panicked at {}:", file!())),
        "{told}"
    );
    assert!(told.contains("the message is withheld"), "{told}");
    assert!(!told.contains(CANARY), "{told}");
}

/// The hook must be the first statement of `main`: an earlier panic would print its message.
#[test]
fn every_command_runs_under_the_panic_hook() {
    let main = include_str!("../main.rs");
    let (_, body) = main.split_once("fn main() -> ExitCode {").unwrap();
    assert!(
        body.trim_start()
            .starts_with("telemetry::withhold_panics();")
    );
}

#[test]
fn a_hardened_process_leaves_no_core() {
    harden().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).current, Some(0));
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
}
