//! Flags and environment become one checked [`Config`].
//!
//! Three steps: clap splits the words ([`args`]), [`Config::check`] judges every value and
//! answers with one line per mistake, and only [`Environment::read`] and
//! [`load_fingerprint_key`] touch the outside. The CAMS endpoint stays a text here: the
//! `cams` module owns the rules for it. Credentials are not read here either, only where
//! they lie.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::cams::SignatureVersion;

pub use self::args::RunArgs;
pub use self::environment::Environment;
pub use self::error::ConfigError;
pub use self::fingerprint_key::load_fingerprint_key;

mod args;
mod environment;
mod error;
mod fingerprint_key;
mod values;

/// Shortest signature validity that CAMS itself is documented to apply. Danger: a shorter
/// one makes an unknown outcome final while the signature is still good, so a late arrival
/// could execute a call whose code was already given up.
const SHORTEST_VALIDITY: Duration = Duration::from_secs(15 * 60);
/// Beyond a day an unknown outcome would block its number for longer than a code lives.
const LONGEST_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);
/// A hundred times the published quota; more is a slip of the finger.
const MOST_QPS: u32 = 1000;
/// Each reconcile may hold one apiserver connection.
const MOST_CONCURRENT_RECONCILES: u32 = 1000;

/// What the process was asked to do.
#[derive(Debug)]
pub enum Command {
    /// Run the operator.
    Run(Box<Config>),
    /// Say whether everything is there that a run needs; the configuration may be wrong itself.
    Check(Box<Result<Config, ConfigError>>),
    /// Print the CRD as YAML.
    Crd,
    /// Print this text to stdout (help or version) and exit with 0.
    Print(String),
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people at a terminal.
    Text,
}

/// Leader election is on, with this Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// Namespace of the Lease.
    pub namespace: String,
    /// What this process writes into `holderIdentity`.
    pub identity: String,
}

/// Everything the process was told, checked. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// URL of CAMS, not yet parsed: `cams` owns the host allow-list.
    pub cams_endpoint: String,
    /// Tests only: plain http to a loopback address is allowed.
    pub allow_insecure_endpoint: bool,
    /// Directory of credential files; `None`: the `ALIBABA_CLOUD_*` variables.
    pub credentials_dir: Option<PathBuf>,
    /// How requests are signed.
    pub signature: SignatureVersion,
    /// For how long CAMS may accept a signature after its timestamp (V in the protocol).
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
    /// Where the fingerprint key lies; `None`: a random key for this process.
    pub fingerprint_key_file: Option<PathBuf>,
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

/// The command line as clap knows it: the reference in `docs/` is made of it.
pub fn command_line() -> clap::Command {
    args::Cli::command()
}

impl Config {
    /// Judges every value. Pure: nothing is read or opened.
    ///
    /// # Errors
    /// One line that names the flag, its variable, the value and what to write instead.
    pub fn check(args: RunArgs, environment: &Environment) -> Result<Config, ConfigError> {
        let insecure = values::boolean("--allow-insecure-endpoint", &args.allow_insecure_endpoint)?;
        Ok(Config {
            cams_endpoint: values::endpoint("--cams-endpoint", args.cams_endpoint)?,
            allow_insecure_endpoint: insecure,
            credentials_dir: values::path("--credentials-dir", args.credentials_dir)?,
            signature: signature(&args.signature)?,
            signature_validity: signature_validity(&args.signature_validity, insecure)?,
            qps: qps(&args.qps, insecure)?,
            watch_namespaces: values::namespaces("--watch-namespaces", &args.watch_namespaces)?,
            watch_secrets: values::boolean("--watch-secrets", &args.watch_secrets)?,
            max_concurrent_reconciles: max_concurrent_reconciles(&args.max_concurrent_reconciles)?,
            leader_election: leader_election(
                args.leader_elect.as_deref(),
                args.lease_namespace,
                args.lease_identity,
                environment,
            )?,
            fingerprint_key_file: fingerprint_key_file(args.fingerprint_key_file)?,
            listen: listen(&args.listen)?,
            log_format: log_format(&args.log_format)?,
            otlp_endpoint: values::collector("--otlp-endpoint", args.otlp_endpoint)?,
            in_cluster: environment.in_cluster,
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

fn fingerprint_key_file(path: Option<OsString>) -> Result<Option<PathBuf>, ConfigError> {
    const FLAG: &str = "--fingerprint-key-file";
    let path = values::path(FLAG, path)?;
    // A key given in place of its path must not be printed by the warning "no such file".
    if path
        .as_ref()
        .is_some_and(|p| fingerprint_key::looks_like_a_key(p))
    {
        return Err(ConfigError::KeyInsteadOfPath { flag: FLAG });
    }
    Ok(path)
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
    let namespace = match namespace {
        Some(value) => Some(values::dns_label("--lease-namespace", value)?),
        None => environment.pod_namespace.clone(),
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
