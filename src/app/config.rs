//! Flags and environment become one checked [`Config`].
//!
//! Three steps: clap splits the words ([`args`]). [`Config::check`] checks every value and returns
//! one line for the first mistake. Only [`Environment::read`] and [`load_fingerprint_key`] read
//! from outside. The CAMS endpoint stays a text here, since the `cams` module owns its rules. The
//! configuration names the kind and place of the credentials; this module does not read them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::cams::{DEFAULT_ENDPOINT, SignIn, SignatureVersion};
pub use crate::cluster::lease::LeaderElection;
use crate::domain::code::CodeDigits;
pub use crate::telemetry::LogFormat;

pub use self::args::RunArgs;
pub use self::credentials::CloudVariables;
pub use self::environment::Environment;
pub use self::error::ConfigError;
pub use self::fingerprint_key::load_fingerprint_key;

mod args;
mod credentials;
mod environment;
mod error;
mod fingerprint_key;
mod values;

/// Shortest signature validity that CAMS is documented to apply. Danger: with a shorter one an
/// unknown outcome becomes final while the signature is still valid. CAMS could then still execute
/// a late request whose code the operator gave up.
const SHORTEST_VALIDITY: Duration = Duration::from_secs(15 * 60);
/// With more than a day, an unknown outcome would block its number for longer than a code lives.
const LONGEST_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);
/// A hundred times the published quota; a larger value is a typing mistake.
const MOST_QPS: u32 = 1000;
/// Each reconcile may hold one apiserver connection.
const MOST_CONCURRENT_RECONCILES: u32 = 1000;

/// The command that the user gave.
#[derive(Debug)]
pub enum Command {
    /// Run the operator.
    Run(Box<Config>),
    /// Check that everything a run needs is there; the configuration itself may be wrong.
    Check(Box<Result<Config, ConfigError>>),
    /// Print the CRDs as YAML.
    Crd,
    /// Print this text to stdout (help or version) and exit with 0.
    Print(String),
}

/// The checked configuration of the process. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// URL of CAMS, not yet parsed: `cams` owns the host allow-list.
    pub cams_endpoint: String,
    /// Tests only: URL of the instance's metadata service, not yet parsed.
    pub metadata_endpoint: Option<String>,
    /// Tests only: plain http to a loopback address is allowed.
    pub allow_insecure_endpoint: bool,
    /// How the operator signs in to Alibaba Cloud.
    pub sign_in: SignIn,
    /// URL of STS, not yet parsed.
    pub sts_endpoint: String,
    /// How requests are signed.
    pub signature: SignatureVersion,
    /// How long after its timestamp CAMS may accept a signature (V in the protocol).
    pub signature_validity: Duration,
    /// Calls per second and action; `None` means unlimited (tests only).
    pub qps: Option<NonZeroU32>,
    /// Namespaces to watch, sorted and without repeats; empty means all.
    pub watch_namespaces: Vec<String>,
    /// Watch Secrets' metadata instead of only polling; needs list and watch on Secrets.
    pub watch_secrets: bool,
    /// Reconciles that may run at the same time.
    pub max_concurrent_reconciles: u16,
    /// `None`: run without a Lease.
    pub leader_election: Option<LeaderElection>,
    /// Namespace of the CodeLedgers. Danger: in another namespace the operator finds no record of
    /// what it submitted, and sends spent codes again.
    pub ledger_namespace: String,
    /// Path of the fingerprint key.
    pub fingerprint_key_file: PathBuf,
    /// How many digits a code has.
    pub code_digits: CodeDigits,
    /// Address of `/metrics`, `/livez`, `/readyz`.
    pub listen: SocketAddr,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Base URL of an OTLP collector, without a slash at its end; `None`: no traces.
    pub otlp_endpoint: Option<String>,
    /// Use the pod's service account, not a kubeconfig.
    pub in_cluster: bool,
}

/// Reads the command line; clap adds the `PHONEMIG_*` variables of this process.
///
/// # Errors
/// One line for the first mistake: an unknown flag, or a bad value (see [`Config::check`]).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Command, ConfigError> {
    match args::Cli::try_parse_from(argv) {
        Ok(cli) => match cli.command {
            Some(args::Subcommand::Crd) => Ok(Command::Crd),
            Some(args::Subcommand::Check) => {
                let config = Config::check(cli.run, environment);
                Ok(Command::Check(Box::new(config)))
            }
            Some(args::Subcommand::Run) | None => {
                let config = Config::check(cli.run, environment)?;
                Ok(Command::Run(Box::new(config)))
            }
        },
        Err(error) if error.exit_code() == 0 => Ok(Command::Print(error.render().to_string())),
        Err(error) => Err(ConfigError::usage(&error)),
    }
}

/// The command line as clap knows it; a test generates the reference in `docs/` from it.
pub fn command_line() -> clap::Command {
    args::Cli::command()
}

impl Config {
    /// Checks every value. Pure: it reads and opens nothing.
    ///
    /// # Errors
    /// One line that names the flag, its variable, the value and what to write instead.
    pub fn check(mut args: RunArgs, environment: &Environment) -> Result<Config, ConfigError> {
        let words = credentials::Words::take(&mut args);
        let cloud = &environment.cloud;
        let insecure = values::boolean("--allow-insecure-endpoint", &args.allow_insecure_endpoint)?;
        let lease_namespace = lease_namespace(args.lease_namespace, environment)?;
        let cams_endpoint =
            values::endpoint("--cams-endpoint", args.cams_endpoint, DEFAULT_ENDPOINT)?;
        Ok(Config {
            sts_endpoint: words.sts_endpoint(&cams_endpoint, insecure, cloud)?,
            metadata_endpoint: args.metadata_endpoint.filter(|url| !url.is_empty()),
            cams_endpoint,
            allow_insecure_endpoint: insecure,
            signature: signature(&args.signature)?,
            signature_validity: signature_validity(&args.signature_validity, insecure)?,
            qps: qps(&args.qps, insecure)?,
            watch_namespaces: values::namespaces("--watch-namespaces", &args.watch_namespaces)?,
            watch_secrets: values::boolean("--watch-secrets", &args.watch_secrets)?,
            max_concurrent_reconciles: max_concurrent_reconciles(&args.max_concurrent_reconciles)?,
            leader_election: leader_election(
                args.leader_elect.as_deref(),
                lease_namespace.clone(),
                args.lease_identity,
                environment,
            )?,
            ledger_namespace: ledger_namespace(args.ledger_namespace, lease_namespace)?,
            fingerprint_key_file: fingerprint_key_file(args.fingerprint_key_file)?,
            code_digits: values::code_digits("--code-digits", &args.code_digits)?,
            listen: listen(&args.listen)?,
            log_format: log_format(&args.log_format)?,
            otlp_endpoint: values::collector("--otlp-endpoint", args.otlp_endpoint)?,
            in_cluster: environment.in_cluster,
            // Checked last: the user hears of a wrong value before missing credentials.
            sign_in: words.sign_in(cloud)?,
        })
    }
}

fn signature(value: &str) -> Result<SignatureVersion, ConfigError> {
    match value {
        "v1" => Ok(SignatureVersion::V1),
        "v3" => Ok(SignatureVersion::V3),
        _ => Err(ConfigError::value("--signature", value, "write v1 or v3")),
    }
}

fn log_format(value: &str) -> Result<LogFormat, ConfigError> {
    match value {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(ConfigError::value(
            "--log-format",
            value,
            "write json or text",
        )),
    }
}

fn signature_validity(value: &str, insecure: bool) -> Result<Duration, ConfigError> {
    const FLAG: &str = "--signature-validity";
    let validity = values::duration(FLAG, value)?;
    if validity > LONGEST_VALIDITY {
        return Err(ConfigError::value(FLAG, value, "write 24h or less"));
    }
    if validity < SHORTEST_VALIDITY && !insecure {
        let advice =
            "write 15m or more; less is for tests and needs --allow-insecure-endpoint as well";
        return Err(ConfigError::value(FLAG, value, advice));
    }
    Ok(validity)
}

fn qps(value: &str, insecure: bool) -> Result<Option<NonZeroU32>, ConfigError> {
    const FLAG: &str = "--qps";
    let qps = values::whole_number(FLAG, value, 0, MOST_QPS)
        .map_err(|_| ConfigError::value(FLAG, value, "write a whole number from 1 to 1000"))?;
    if qps == 0 && !insecure {
        let advice = "write a whole number from 1 to 1000; 0 (unlimited) is for tests and needs \
                      --allow-insecure-endpoint as well";
        return Err(ConfigError::value(FLAG, value, advice));
    }
    Ok(NonZeroU32::new(qps))
}

fn max_concurrent_reconciles(value: &str) -> Result<u16, ConfigError> {
    const FLAG: &str = "--max-concurrent-reconciles";
    let number = values::whole_number(FLAG, value, 1, MOST_CONCURRENT_RECONCILES)?;
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}

fn listen(value: &str) -> Result<SocketAddr, ConfigError> {
    value.parse().map_err(|_| {
        let advice = "write an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080";
        ConfigError::value("--listen", value, advice)
    })
}

fn fingerprint_key_file(path: Option<OsString>) -> Result<PathBuf, ConfigError> {
    const FLAG: &str = "--fingerprint-key-file";
    let path = path.ok_or(ConfigError::NoFingerprintKey)?;
    if path.is_empty() {
        return Err(ConfigError::value(FLAG, "", "write a path"));
    }
    let path = PathBuf::from(path);
    // If the user gave a key in place of its path, the error "there is no file" would print the
    // key.
    if fingerprint_key::looks_like_a_key(&path) {
        return Err(ConfigError::KeyInsteadOfPath { flag: FLAG });
    }
    Ok(path)
}

/// The flag's value, else the pod's namespace.
fn lease_namespace(
    namespace: Option<String>,
    environment: &Environment,
) -> Result<Option<String>, ConfigError> {
    match namespace {
        Some(value) => values::dns_label("--lease-namespace", value).map(Some),
        None => Ok(environment.pod_namespace.clone()),
    }
}

fn ledger_namespace(
    namespace: Option<String>,
    lease_namespace: Option<String>,
) -> Result<String, ConfigError> {
    match namespace {
        Some(value) => values::dns_label("--ledger-namespace", value),
        None => lease_namespace.ok_or(ConfigError::NoLedgerNamespace),
    }
}

fn leader_election(
    elect: Option<&str>,
    namespace: Option<String>,
    identity: Option<String>,
    environment: &Environment,
) -> Result<Option<LeaderElection>, ConfigError> {
    let on = match elect {
        Some(value) => values::boolean("--leader-elect", value)?,
        None => environment.in_cluster,
    };
    let identity = match identity {
        Some(value) => values::identity("--lease-identity", value)?,
        None => environment.default_identity(),
    };
    if !on {
        return Ok(None);
    }
    let namespace = namespace.ok_or(ConfigError::NoLeaseNamespace)?;
    Ok(Some(LeaderElection {
        namespace,
        identity,
    }))
}
