//! Logs, the panic hook and the process's own hardening.
//!
//! Dependencies are capped here in code, whatever `RUST_LOG` says, since some of them log
//! what they carry: kube-client 5.0 writes the whole body of a reply that it cannot parse
//! at WARN (`client/mod.rs`: `request`, `request_status`), Secrets included. Only this
//! crate's own modules may go above the cap. Records of the `log` crate (rustls among
//! others) are not bridged and so never appear.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
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

use crate::config::LogFormat;

mod traces;

pub use traces::Traces;

/// The target of this crate's library and of its binary.
const OWN_TARGET: &str = "phone_migration_operator";
/// The crate whose WARN holds reply bodies. At ERROR it says only how a request failed.
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
    /// A second call in one process.
    #[error("logging was set up twice")]
    Twice,
}

/// Decides what is logged: `RUST_LOG`, cut to the cap of each target.
#[derive(Clone, Debug)]
pub struct LogFilter {
    wanted: Targets,
}

/// Reads a `RUST_LOG` text; an empty one means `info`. Pure.
///
/// # Errors
/// When the text is not a list of `target=level`; span and field filters are not known.
pub fn filter(rust_log: &str) -> Result<LogFilter, TelemetryError> {
    let text = match rust_log.trim() {
        "" => "info",
        text => text,
    };
    // A bare word that is no level would count as a target of that name and silence
    // everything else, so that a slip such as `inof` costs the whole log.
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

/// The most that a target may ever say. Danger: a target moved to a higher level here
/// prints Secrets, keys or signed URLs as soon as somebody debugs with `RUST_LOG=trace`.
fn cap(target: &str) -> LevelFilter {
    if within(target, OWN_TARGET) {
        LevelFilter::TRACE
    } else if within(target, BODY_DUMPING_TARGET) {
        LevelFilter::ERROR
    } else {
        LevelFilter::WARN
    }
}

/// `target` is that crate or one of its modules, not a crate whose name begins alike.
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

/// Sends logs to stderr, spans to `traces`, and installs the panic hook. Once per process, before
/// any task.
///
/// # Errors
/// When `rust_log` cannot be read, or logging was set up before.
pub fn init(
    format: LogFormat,
    rust_log: &str,
    traces: Option<&Traces>,
) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = subscriber(format, filter(rust_log)?, ansi, std::io::stderr)
        .with(traces.map(Traces::layer));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// One line with the place, never with the panic's message: an `expect` in a dependency
/// puts the value that it met into the message, and that value may be a code or a key.
/// A backtrace holds names of functions only; it is added when `RUST_BACKTRACE` asks for it.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let location = location.as_deref().unwrap_or("an unknown place");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        target: OWN_TARGET,
        location,
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "Panicked; the message is withheld because it may hold a secret"
    );
}

/// Keeps codes and keys out of core files, and other processes of the same user out of
/// this one's memory (`/proc/<pid>/mem`, ptrace). First call of `main`, before any secret
/// is read.
///
/// The limit alone is not enough: the kernel ignores it when cores go to a pipe.
///
/// # Errors
/// When the kernel refuses, which no ordinary one does.
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
