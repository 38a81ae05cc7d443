//! Logs, the panic hook and the process's own hardening.
//!
//! This module caps the log level of dependencies in code, whatever `RUST_LOG` says, since some of
//! them log the data that they carry. kube-client 5.0 writes the whole body of a reply that it
//! cannot parse at WARN (`client/mod.rs`: `request`, `request_status`), Secrets included. Only this
//! crate's own modules may go above the cap. The operator does not bridge records of the `log`
//! crate (rustls among others), so they never appear.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::str::FromStr;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

mod log_writer;
pub mod metrics;
pub mod server;
mod traces;

pub use log_writer::{LogGuard, dropped_lines};
pub use traces::Traces;

/// The target of this crate's library and of its binary.
const OWN_TARGET: &str = "phone_migration_operator";
/// This crate's WARN lines hold reply bodies. Its ERROR lines say only how a request failed.
const BODY_DUMPING_TARGET: &str = "kube_client";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a list of `target=level`.
    #[error(
        "RUST_LOG: {0}: write a level (error, warn, info, debug, trace), or target=level \
         separated by commas"
    )]
    Filter(String),
    /// The exporter of traces cannot be built.
    #[error("--otlp-endpoint: traces cannot be exported: {0}")]
    Traces(String),
    /// The thread that writes the log cannot be started.
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(std::io::Error),
    /// A second call in one process.
    #[error("logging was set up twice")]
    Twice,
}

/// Decides which lines are logged: `RUST_LOG`, cut to the cap of each target.
#[derive(Clone, Debug)]
pub struct LogFilter {
    wanted: Targets,
}

/// Reads a `RUST_LOG` text; an empty one means `info`. Pure.
///
/// # Errors
/// When the text is not a list of `target=level`; span and field filters are not supported.
pub fn filter(rust_log: &str) -> Result<LogFilter, TelemetryError> {
    let text = match rust_log.trim() {
        "" => "info",
        text => text,
    };
    // A bare word that is not a level would count as a target of that name and silence everything
    // else. A typing mistake such as `inof` would then cost the whole log.
    let slip = text.split(',').find(|part| {
        !part.contains('=') && LevelFilter::from_str(part).is_err() && !within(part, OWN_TARGET)
    });
    if let Some(word) = slip {
        return Err(TelemetryError::Filter(format!("{word:?} is not a level")));
    }
    let wanted =
        Targets::from_str(text).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    Ok(LogFilter { wanted })
}

impl LogFilter {
    /// True if a line of this target and level is written.
    pub fn allows(&self, target: &str, level: Level) -> bool {
        level <= cap(target) && self.wanted.would_enable(target, &level)
    }
}

/// The highest level of a target. Danger: if a target moves to a higher level here, it prints
/// Secrets, keys or signed URLs as soon as a user debugs with `RUST_LOG=trace`.
fn cap(target: &str) -> LevelFilter {
    if within(target, OWN_TARGET) {
        LevelFilter::TRACE
    } else if within(target, BODY_DUMPING_TARGET) {
        LevelFilter::ERROR
    } else {
        LevelFilter::WARN
    }
}

/// Whether `target` is that crate or one of its modules. A crate whose name begins alike does not
/// match.
fn within(target: &str, crate_name: &str) -> bool {
    target
        .strip_prefix(crate_name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.allows(metadata.target(), *metadata.level())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.allows(metadata.target(), *metadata.level()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text for a terminal.
    Text,
}

/// The subscriber itself, apart from [`init`] so that tests can read what it writes.
pub fn subscriber<W>(
    format: LogFormat,
    filter: LogFilter,
    ansi: bool,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => layer.with_ansi(ansi).boxed(),
    };
    Registry::default().with(layer.with_filter(filter))
}

/// Sends logs to stderr, and spans to `traces`. Call it once per process, before any task; the
/// process holds the guard until its end.
///
/// # Errors
/// When `rust_log` cannot be parsed, the log's thread cannot be started, or logging was set up
/// before.
pub fn init(
    format: LogFormat,
    rust_log: &str,
    traces: Option<&Traces>,
) -> Result<LogGuard, TelemetryError> {
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let filter = filter(rust_log)?;
    let (writer, guard) =
        log_writer::log_writer(std::io::stderr()).map_err(TelemetryError::Thread)?;
    let subscriber = subscriber(format, filter, ansi, writer).with(traces.map(Traces::layer));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    Ok(guard)
}

/// From now on a panic is reported by its place only: in the log if there is one, else on stderr.
/// First call of `main`, whatever the command.
pub fn withhold_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if tracing::dispatcher::has_been_set() {
            return log_panic(panic);
        }
        // stderr may be closed; then the panic cannot be reported.
        let _ = writeln!(
            std::io::stderr(),
            "phone-migration-operator: panicked at {}; {WITHHELD}",
            place(panic)
        );
    }));
}

/// Stands in place of a panic's message.
const WITHHELD: &str = "the message is withheld because it may hold a secret";

fn place(panic: &PanicHookInfo<'_>) -> String {
    let location = panic.location().map(ToString::to_string);
    location.unwrap_or_else(|| "an unknown place".to_owned())
}

/// One line with the place, never with the panic's message. An `expect` in a dependency puts the
/// offending value into the message, and that value may be a code or a key. A backtrace holds only
/// names of functions; `RUST_BACKTRACE` adds it.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = place(panic);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        target: OWN_TARGET,
        location,
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "Panicked; {WITHHELD}"
    );
}

/// Keeps codes and keys out of core files, and keeps other processes of the same user out of this
/// one's memory (`/proc/<pid>/mem`, ptrace). Call it in `main` before any secret is read.
///
/// The limit alone is not enough: the kernel ignores it when cores go to a pipe.
///
/// # Errors
/// When the kernel refuses; an ordinary kernel does not.
pub fn harden() -> std::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(())
}

#[cfg(test)]
mod tests;
