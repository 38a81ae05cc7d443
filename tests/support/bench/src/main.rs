//! Figures of the operator, printed but not judged: `cargo run -p bench -- --help`.
//!
//! Everything runs on loopback; the operator binary is the release build unless `--binary` names
//! another one.

mod apiserver;
mod beside;
mod brake;
mod finished;
mod pacing;
mod peers;
mod rolling;
mod sign_in;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use harness::cams_simulator::{self, VERIFIED};
use harness::control_plane::Options;
use harness::{
    ControlPlane, Error, Migration, Operator, Result, World, crowd_name, crowd_phone, requests_of,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::apiserver::Floor;

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
    /// Signing in by the ServiceAccount's token: from a cold start to the first call.
    SignIn,
    /// STS away in the middle of a queue, beyond the end of the key in use, and back.
    StsAway(sign_in::Away),
    /// Many resources at once under a strict rolling quota of 10 per second.
    Pace(pacing::Pace),
    /// A spell in which the server throttles every call.
    Throttled(pacing::Throttled),
    /// From the repair of a held account to the first submission.
    Repair {
        /// How long the account is held before, in seconds.
        #[arg(long, default_value_t = 80)]
        held: u64,
    },
    /// Resources per second without a quota and without latency.
    Throughput {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
    },
    /// The API server's own limit on this machine: one bare status write for each resource.
    Baseline {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
    },
    /// The protocol's own nine requests (reads, claim, outcome, status, Event) for each resource,
    /// with its rights, by a bare client without any decision, watch, call or wait. An operator that
    /// claims cannot exceed this.
    Floor {
        /// How many resources.
        #[arg(long, default_value_t = 1000)]
        resources: u32,
        /// So many times in turns with the operator's throughput; prints the operator's share.
        #[arg(long, default_value_t = 0)]
        pairs: u32,
    },
    /// Resident memory: idle, with foreign Secrets, and with resources in work.
    Memory {
        /// How many resources in work.
        #[arg(long, default_value_t = 300)]
        resources: u32,
        /// How many foreign Secrets of 200 KB.
        #[arg(long, default_value_t = 300)]
        secrets: u32,
    },
    /// An operator that starts with finished resources: memory, and the times until it is ready and
    /// until it calls with a new resource's code.
    Finished {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        resources: u32,
        /// How many of ten were refused; the others are verified.
        #[arg(long, default_value_t = 0)]
        refused_of_ten: u32,
        /// Annotations of each, in KiB.
        #[arg(long, default_value_t = 0)]
        annotation_kib: usize,
        /// Starts of an operator.
        #[arg(long, default_value_t = 3)]
        runs: u32,
    },
    /// Codes spent while the whole account is refused under a Code that is in no list, for each of
    /// five Codes, and how soon the others are verified after it.
    Brake {
        /// How many right codes.
        #[arg(long, default_value_t = 30)]
        resources: u32,
        /// How long every submission is refused, in seconds.
        #[arg(long, default_value_t = 12)]
        seconds: u64,
        /// The round trip, in milliseconds.
        #[arg(long, default_value_t = 5)]
        round_trip_ms: u64,
    },
    /// Codes sent twice by this operator, and by ones written with kopf and controller-runtime, under
    /// kills of the process and under lost replies.
    Peers(peers::PeersArgs),
    /// From a Secret's creation to the call, for resources that are each alone in a namespace while
    /// another namespace has a crowd.
    Beside(beside::Args),
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
            Figure::SignIn => sign_in::cold(&place).await,
            Figure::StsAway(away) => away.run(&place).await,
            Figure::Pace(pace) => pace.run(&place).await,
            Figure::Throttled(spell) => spell.run(&place).await,
            Figure::Repair { held } => pacing::repair(&place, Duration::from_secs(held)).await,
            Figure::Throughput { resources } => throughput(&place, resources).await.map(drop),
            Figure::Baseline { resources } => apiserver::baseline(&place, resources).await,
            Figure::Floor {
                resources,
                pairs: 0,
            } => Floor::learn(&place)
                .await?
                .rate(&place, resources)
                .await
                .map(drop),
            Figure::Floor { resources, pairs } => {
                apiserver::beside_the_floor(&place, resources, pairs).await
            }
            Figure::Memory { resources, secrets } => memory(&place, resources, secrets).await,
            Figure::Finished {
                resources,
                refused_of_ten,
                annotation_kib,
                runs,
            } => {
                let crowd = finished::Crowd {
                    resources,
                    refused_of_ten,
                    annotation_kib,
                    runs,
                };
                finished::finished(&place, &crowd).await
            }
            Figure::Brake {
                resources,
                seconds,
                round_trip_ms,
            } => {
                let plan = brake::Plan {
                    resources,
                    seconds,
                    round_trip_ms,
                };
                for code in brake::CODES {
                    brake::brake(&place, &plan, code).await?;
                }
                Ok(())
            }
            Figure::Peers(args) => peers::peers(&place, &args).await,
            Figure::Beside(args) => beside::beside(&place, args).await,
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

/// A control plane for this run, and its folder.
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

/// Requests for each resource. One that waited has a status write more: the one that says so.
fn per_resource(requests: &[harness::AuditEntry], resources: u32) {
    let of_each: Vec<Vec<&harness::AuditEntry>> = (0..resources)
        .map(|n| requests_of(requests, &crowd_name(n)))
        .collect();
    let is_write = |request: &&&harness::AuditEntry| request.verb != "get";
    let status_writes = |of: &[&harness::AuditEntry]| {
        let writes = of.iter().filter(is_write);
        writes.filter(|r| r.subresource == "status").count()
    };
    for (waited, name) in [(true, "waited its turn"), (false, "did not wait")] {
        let group = of_each
            .iter()
            .filter(|of| (status_writes(of) > 1) == waited);
        let group: Vec<_> = group.collect();
        let most = group.iter().max_by_key(|of| of.len());
        let writes = group.iter().map(|of| of.iter().filter(is_write).count());
        println!(
            "API requests, {name}: {} resources, at most {}, of which writes {}, of status {}",
            group.len(),
            most.map_or(0, |of| of.len()),
            writes.max().unwrap_or(0),
            group.iter().map(|of| status_writes(of)).max().unwrap_or(0)
        );
        let asked = |r: &&harness::AuditEntry| {
            format!("{} {} {} {}", r.verb, r.resource, r.subresource, r.code)
        };
        if let Some(most) = most.filter(|of| of.len() > 10) {
            let asked: Vec<String> = most.iter().map(asked).collect();
            println!("  the most: {}", asked.join(", "));
        }
    }
}

/// The time that the claim adds between a turn and its send: the write of the ledger, and after a
/// new ledger the read of the resource. By the API server's own clock.
fn claims(requests: &[harness::AuditEntry], resources: u32) {
    let cost = |n: u32| {
        let of = requests_of(requests, &crowd_name(n));
        let is_claim = |r: &&&harness::AuditEntry| {
            let body = r.request_object.as_ref();
            r.resource == "codeledgers"
                && body.is_some_and(|b| b["entries"][0]["outcome"].is_null())
        };
        let claim = of.iter().find(is_claim)?;
        let read = of.iter().filter(|r| {
            r.resource == "phonemigrations"
                && r.verb == "get"
                && r.timestamp >= claim.stage_timestamp
        });
        let read = read.map(|r| r.stage_timestamp).min();
        let end = read.filter(|_| claim.verb == "create");
        let end = end.unwrap_or(claim.stage_timestamp);
        Some(end.duration_since(claim.timestamp).as_secs_f64() * 1000.0)
    };
    let mut costs: Vec<f64> = (0..resources).filter_map(cost).collect();
    costs.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let place = costs.len().saturating_sub(1) * percent / 100;
        costs.get(place).copied().unwrap_or_default()
    };
    println!(
        "added by the claim between turn and send, {} claims: p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
        costs.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// Numbers per second, from the first call to the last status.
async fn throughput(place: &Place<'_>, resources: u32) -> Result<f64> {
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
    let (Some(first), Some(last)) = (first, last) else {
        return Err(Error::new("throughput", "nothing was submitted"));
    };
    let seconds = last.duration_since(first).as_secs_f64();
    let rate = f64::from(resources) / seconds;
    println!("{resources} resources in {seconds:.2} s: {rate:.0} per second");
    println!(
        "resident: {} KiB",
        operator.resident_kib().unwrap_or_default()
    );
    println!(
        "executed per code at most {}",
        figures.summary.max_executed_per_code
    );
    per_resource(&figures.requests, resources);
    claims(&figures.requests, resources);
    operator.stop().await?;
    Ok(rate)
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
