//! The simulator as a program: prints one JSON line with both URLs and runs until it is
//! told to stop (SIGTERM or SIGINT).

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use cams_simulator::{
    ADMIN_ROUTES, AccessKey, Config, Number, Quota, QuotaKind, READ_STATUS, Settings, Simulator,
};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Loopback simulator of the CAMS gateway. Prints {"url":…,"adminUrl":…} when ready.
#[derive(Parser)]
#[command(version, after_help = after_help())]
struct Args {
    /// Address of the gateway; loopback only
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// Address of the admin interface; loopback only
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    admin: SocketAddr,
    /// An AccessKey that exists; may be repeated
    #[arg(long = "account", required = true, value_name = "ID:SECRET[:TOKEN]")]
    // Text, not AccessKey: clap repeats a value it cannot parse, and this one is a secret.
    accounts: Vec<String>,
    /// Calls per second of each account and action; 0 is unlimited
    #[arg(long, default_value_t = 10, value_name = "N")]
    quota: u32,
    /// Calls per second of the status read, if it differs
    #[arg(long, value_name = "N")]
    read_qps: Option<u32>,
    /// rolling, fixed or bucket
    #[arg(long, default_value = "rolling", value_name = "KIND", value_parser = quota_kind)]
    quota_kind: QuotaKind,
    /// Server time between counting and executing
    #[arg(long, default_value_t = 0, value_name = "MS")]
    processing_ms: u64,
    /// Lateness of arrival, uniform from 0 to this
    #[arg(long, default_value_t = 0, value_name = "MS")]
    jitter_ms: u64,
    /// Largest difference of a signed time from the clock, either way: seconds, or off
    #[arg(long, default_value = "900", value_name = "SECONDS")]
    timestamp_window: Window,
    /// How long a nonce is remembered, seconds
    #[arg(long, default_value_t = 31 * 60, value_name = "SECONDS")]
    nonce_retention: u64,
    /// JSON array of numbers, as PUT /numbers takes it
    #[arg(long, value_name = "FILE")]
    numbers: Option<PathBuf>,
}

/// Seconds, or no limit.
#[derive(Clone, Copy)]
struct Window(Option<u64>);

impl FromStr for Window {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse::<u64>()) {
            ("off", _) => Ok(Self(None)),
            (_, Ok(seconds)) => Ok(Self(Some(seconds))),
            (_, Err(_)) => Err("a whole number of seconds, or off"),
        }
    }
}

fn after_help() -> String {
    format!(
        "Admin interface, JSON in and out:\n{ADMIN_ROUTES}\n\
         Stages of a request: accepted, received, counted, executed, halfReplied, replied.\n\
         Faults (kind): delay, gate, drop, answer, slow, otherPhone, maskPhone, omitId, omitData,\n\
         message, throttle, readLag, clockOffset. Answers (is): html, empty, truncatedJson,\n\
         emptyObject, api, redirect, huge, raw. A rule may name action, phone, keyId, nth, times,\n\
         probability and seed."
    )
}

fn quota_kind(text: &str) -> Result<QuotaKind, &'static str> {
    match text {
        "rolling" => Ok(QuotaKind::Rolling),
        "fixed" => Ok(QuotaKind::Fixed),
        "bucket" => Ok(QuotaKind::Bucket),
        _ => Err("one of rolling, fixed, bucket"),
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cams-simulator: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
        let simulator = Simulator::start(config(args)?).map_err(|error| error.to_string())?;
        let line = json!({ "url": simulator.url(), "adminUrl": simulator.admin_url() });
        let mut out = std::io::stdout();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| format!("cannot print the URLs: {error}"))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

fn config(args: Args) -> Result<Config, String> {
    let window = args
        .timestamp_window
        .0
        .map(|seconds| seconds.saturating_mul(1000));
    let quota = |limit| Quota::rolling(limit).of_kind(args.quota_kind);
    let mut settings = Settings {
        timestamp_past_ms: window,
        timestamp_future_ms: window,
        nonce_retention_ms: args.nonce_retention.saturating_mul(1000),
        quota: quota(args.quota),
        processing_ms: args.processing_ms,
        jitter_ms: args.jitter_ms,
        ..Settings::default()
    };
    if let Some(limit) = args.read_qps {
        settings.quotas.insert(READ_STATUS.to_owned(), quota(limit));
    }
    let keys: Result<Vec<AccessKey>, _> = args.accounts.iter().map(|a| a.parse()).collect();
    Ok(Config {
        listen: args.listen,
        admin: args.admin,
        keys: keys.map_err(|why| format!("--account: {why}"))?,
        settings,
        numbers: args
            .numbers
            .as_deref()
            .map_or(Ok(Vec::new()), read_numbers)?,
    })
}

fn read_numbers(path: &Path) -> Result<Vec<Number>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is not an array of numbers: {error}", path.display()))
}
