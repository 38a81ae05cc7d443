//! Figures of the operator, printed and judged by nobody: `cargo run -p bench -- --help`.
//!
//! Everything runs on loopback; the operator binary is the release build unless `--binary`
//! names another one.

mod apiserver;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use harness::cams_simulator::{self, READ_STATUS, VERIFIED};
use harness::control_plane::Options;
use harness::{
    ControlPlane, Error, Migration, Operator, Result, World, crowd_name, crowd_phone, requests_of,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

/// Figures of the release binary on a real API server and the CAMS simulator.
#[derive(Parser)]
struct Args {
    /// Operator binary.
    #[arg(long, default_value = "target/release/phone-migration-operator")]
    binary: PathBuf,
    /// Added to the API server's flags, as `--profiling=true`.
    #[arg(long, allow_hyphen_values = true)]
    apiserver_flag: Vec<String>,
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Subcommand)]
enum Figure {
    /// Many resources at once under a strict rolling quota of 10 per second.
    Pace {
        /// How many resources.
        #[arg(long, default_value_t = 300)]
        resources: u32,
        /// How long the server works on a call after it was counted, in milliseconds.
        #[arg(long, default_value_t = 50)]
        processing_ms: u64,
        /// Uniform lateness of arrival, in milliseconds.
        #[arg(long, default_value_t = 0)]
        jitter_ms: u64,
    },
    /// Resources per second without a quota and without latency.
    Throughput {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
    },
    /// What the API server itself can do here: one bare status write for each resource.
    Baseline {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
    },
    /// The protocol's own requests (two reads, claim, outcome, Event) for each resource, by a
    /// bare client without any decision, call or wait: what no operator that claims can exceed.
    Floor {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
    },
    /// Resident memory: idle, beside foreign Secrets, and with resources in work.
    Memory {
        /// How many resources in work.
        #[arg(long, default_value_t = 300)]
        resources: u32,
        /// How many foreign Secrets of 200 KB.
        #[arg(long, default_value_t = 300)]
        secrets: u32,
    },
    /// From a Secret's creation to the call, for a resource that waited a while.
    Wake {
        /// How long it waited before, in seconds.
        #[arg(long, default_value_t = 130)]
        waited: u64,
    },
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let run = async {
        let plane = plane(&args.apiserver_flag).await?;
        let place = Place {
            binary: &args.binary,
            plane: &plane.0,
        };
        match args.figure {
            Figure::Pace {
                resources,
                processing_ms,
                jitter_ms,
            } => pace(&place, resources, processing_ms, jitter_ms).await,
            Figure::Throughput { resources } => throughput(&place, resources).await,
            Figure::Baseline { resources } => apiserver::baseline(&place, resources).await,
            Figure::Floor { resources } => apiserver::floor(&place, resources).await,
            Figure::Memory { resources, secrets } => memory(&place, resources, secrets).await,
            Figure::Wake { waited } => wake(&place, waited).await,
        }
    };
    match run.await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Where it all runs.
struct Place<'a> {
    binary: &'a Path,
    plane: &'a Arc<harness::Plane>,
}

impl Place<'_> {
    async fn world(&self, name: &str) -> Result<World> {
        World::on(Arc::clone(self.plane), self.binary, name).await
    }
}

/// A control plane of our own, and its folder.
async fn plane(flags: &[String]) -> Result<(Arc<harness::Plane>, TempDir)> {
    let dir = TempDir::new().map_err(Error::at("temporary folder"))?;
    let options = Options {
        apiserver_flags: flags.to_vec(),
        ..Options::default()
    };
    let control = ControlPlane::start(dir.path(), options).await;
    let control = control.map_err(Error::at("control plane"))?;
    Ok((Arc::new(harness::install(control).await?), dir))
}

async fn operator(world: &World, extra: &[&str]) -> Result<Operator> {
    let mut launch = world.launch(extra)?;
    launch.env.retain(|(name, _)| name != "RUST_LOG");
    let mut operator = Operator::spawn(&launch)?;
    operator.ready().await?;
    Ok(operator)
}

/// Share of the quota used over the middle 80 % of the time.
fn middle_utilisation(times: &[u64]) -> f64 {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return 0.0;
    };
    let tenth = (last - first) / 10;
    cams_simulator::utilisation(times, first + tenth, last - tenth, 10)
}

fn per_resource(requests: &[harness::AuditEntry], resources: u32) {
    let mut all: Vec<(usize, usize, bool)> = (0..resources)
        .map(|n| {
            let of = requests_of(requests, &crowd_name(n));
            let writes = of
                .iter()
                .filter(|r| !matches!(r.verb.as_str(), "get"))
                .count();
            let status = of.iter().filter(|r| r.subresource == "status").count();
            (of.len(), writes, status > 2)
        })
        .collect();
    all.sort_unstable();
    for (waited, what) in [(true, "waited its turn"), (false, "did not wait")] {
        let group: Vec<_> = all.iter().filter(|r| r.2 == waited).collect();
        let most = group.iter().map(|r| r.0).max().unwrap_or_default();
        let writes = group.iter().map(|r| r.1).max().unwrap_or_default();
        println!(
            "API requests, {what}: {} resources, at most {most}, of which writes {writes}",
            group.len()
        );
    }
}

async fn pace(place: &Place<'_>, resources: u32, processing_ms: u64, jitter_ms: u64) -> Result<()> {
    let world = place.world("pace").await?;
    world.sim.set_processing(processing_ms);
    world.sim.set_jitter(jitter_ms, 1);
    world.fill(&world.namespace, 0..resources).await?;
    let started = Instant::now();
    let mut operator = operator(&world, &[]).await?;
    let within = Duration::from_secs(60 + u64::from(resources) / 4);
    world.until_all_verified(resources, within).await?;
    println!(
        "{resources} resources, processing {processing_ms} ms, jitter {jitter_ms} ms: {:.1} s",
        started.elapsed().as_secs_f64()
    );
    println!(
        "resident: {} KiB",
        operator.resident_kib().unwrap_or_default()
    );
    let figures = world.finish().await?;
    let ledger = world.sim.ledger();
    for action in [VERIFIED, READ_STATUS] {
        let of = figures.summary.actions.iter().find(|a| a.action == action);
        let (throttled, worst) = of.map_or((0, 0), |a| (a.counts.throttled, a.worst_second));
        let times = cams_simulator::admitted_times(&ledger, action);
        let used = middle_utilisation(&times);
        println!(
            "{action}: throttled {throttled}, worst second {worst}, utilisation {:.2} %",
            used * 100.0
        );
    }
    println!(
        "executed per code at most {}",
        figures.summary.max_executed_per_code
    );
    per_resource(&figures.requests, resources);
    operator.stop().await.map(|_| ())
}

async fn throughput(place: &Place<'_>, resources: u32) -> Result<()> {
    let world = place.world("throughput").await?;
    world.sim.set_quota(
        None,
        cams_simulator::Quota {
            limit: 0,
            ..Default::default()
        },
    );
    world.fill(&world.namespace, 0..resources).await?;
    let mut operator = operator(&world, &["--qps", "0"]).await?;
    world
        .until_all_verified(resources, Duration::from_secs(120))
        .await?;
    let figures = world.finish().await?;
    let stamps = figures
        .requests
        .iter()
        .filter(|r| r.subresource == "status");
    let last = stamps.map(|r| r.stage_timestamp).max();
    let first = world.sim.ledger().iter().map(|e| e.arrived_at).min();
    if let (Some(first), Some(last)) = (first, last) {
        let seconds = last.duration_since(first).as_secs_f64();
        println!(
            "{resources} resources in {seconds:.2} s: {:.0} per second",
            f64::from(resources) / seconds
        );
    }
    println!(
        "resident: {} KiB",
        operator.resident_kib().unwrap_or_default()
    );
    println!(
        "executed per code at most {}",
        figures.summary.max_executed_per_code
    );
    per_resource(&figures.requests, resources);
    operator.stop().await.map(|_| ())
}

async fn memory(place: &Place<'_>, resources: u32, secrets: u32) -> Result<()> {
    let world = place.world("memory").await?;
    let mut idle = operator(&world, &[]).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("idle: {} KiB", idle.resident_kib().unwrap_or_default());
    let big = "x".repeat(200_000);
    for n in 0..secrets {
        world
            .secret(&format!("foreign-{n}"), json!({"blob": big}))
            .await?;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "idle beside {secrets} foreign Secrets of 200 KB: {} KiB",
        idle.resident_kib().unwrap_or_default()
    );
    world.fill(&world.namespace, 0..resources).await?;
    let mut most = 0;
    let deadline = Instant::now() + Duration::from_secs(30 + u64::from(resources) / 5);
    while world
        .by_reason()
        .await?
        .get("Verified")
        .copied()
        .unwrap_or_default()
        < resources as usize
    {
        most = most.max(idle.resident_kib().unwrap_or_default());
        if Instant::now() > deadline {
            return Err(Error::new("memory", "not all verified"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{resources} in work: at most {most} KiB");
    idle.stop().await.map(|_| ())
}

async fn wake(place: &Place<'_>, waited: u64) -> Result<()> {
    let world = place.world("wake").await?;
    let mut operator = operator(&world, &[]).await?;
    for (n, how) in ["by polling", "with requestedAt"].into_iter().enumerate() {
        let (name, n) = (format!("m{n}"), u32::try_from(n).unwrap_or_default());
        world.number(&crowd_phone(n), "12345678", "id");
        world.create(&Migration::new(&name, crowd_phone(n))).await?;
        world.until_reason(&name, "SecretNotFound").await?;
        tokio::time::sleep(Duration::from_secs(waited)).await;
        world.code(&name, "12345678").await?;
        let created = Instant::now();
        if how == "with requestedAt" {
            world.request(&name, "now").await?;
        }
        let called = || {
            world
                .sim
                .ledger()
                .iter()
                .any(|e| e.action == VERIFIED && e.phone.as_deref() == Some(&crowd_phone(n)))
        };
        while !called() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "Secret created to the call, {how}, after waiting {waited} s: {:.2} s",
            created.elapsed().as_secs_f64()
        );
    }
    operator.stop().await.map(|_| ())
}
