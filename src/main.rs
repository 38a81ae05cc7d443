//! Install the crypto provider, parse, and run until something ends.

use std::io::Write;
use std::process::ExitCode;

use phone_migration_operator::config::{self, Command, Environment};
use phone_migration_operator::{crd, operator, telemetry};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // stderr may be closed; there is nobody left to tell then.
            let _ = writeln!(std::io::stderr(), "phone-migration-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    telemetry::harden()?;
    // Before any TLS client: two libraries share one provider, and choose none by themselves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match config::parse(std::env::args_os(), &Environment::read()?)? {
        Command::Print(text) => Ok(write!(std::io::stdout(), "{text}")?),
        Command::Crd => Ok(write!(std::io::stdout(), "{}", crd::crd_yaml()?)?),
        Command::Run(config) => {
            telemetry::init(
                config.log_format,
                &std::env::var("RUST_LOG").unwrap_or_default(),
            )?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            Ok(runtime.block_on(operator::run(*config))?)
        }
    }
}
