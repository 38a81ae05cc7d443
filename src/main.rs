//! Installs the crypto provider, parses the command line, and runs the command.

use std::io::Write;
use std::process::ExitCode;

use phone_migration_operator::api;
use phone_migration_operator::app::config::{self, Command, Environment};
use phone_migration_operator::app::{check, operator};
use phone_migration_operator::telemetry::{self, Traces};

fn main() -> ExitCode {
    telemetry::withhold_panics();
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        // `check` has already printed what is wrong.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If stderr is closed, the error cannot be reported.
            let _ = writeln!(std::io::stderr(), "phone-migration-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command. False if `check` found a fault.
fn start() -> Result<bool, Box<dyn std::error::Error>> {
    telemetry::harden()?;
    // Before any TLS client: two libraries share one provider, and neither chooses it by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match config::parse(std::env::args_os(), &Environment::read()?)? {
        Command::Print(text) => write!(std::io::stdout(), "{text}")?,
        Command::Crd => write!(std::io::stdout(), "{}", api::crds_yaml()?)?,
        Command::Check(config) => {
            let mut out = std::io::stdout();
            return Ok(runtime()?.block_on(check::run(*config, &mut out))?);
        }
        Command::Run(config) => {
            let runtime = runtime()?;
            let endpoint = config.otlp_endpoint.as_deref();
            let traces = endpoint.map(|url| Traces::new(url, runtime.handle().clone()));
            let traces = traces.transpose()?;
            let _log = telemetry::init(
                config.log_format,
                &std::env::var("RUST_LOG").unwrap_or_default(),
                traces.as_ref(),
            )?;
            let ended = runtime.block_on(operator::run(*config));
            if let Some(traces) = traces {
                traces.shut_down();
            }
            ended?;
        }
    }
    Ok(true)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
