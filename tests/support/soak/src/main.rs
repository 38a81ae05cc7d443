//! Minutes of everything at once: two replicas with leader election on a real control plane,
//! thousands of resources in waves, and random faults from a seeded plan, all the time. Then the
//! faults stop, everything settles, and every status is compared with the cloud's ledger, field
//! by field.
//!
//! `cargo run --release -p soak -- --minutes 10 --resources 2000`; a seed repeats the plan, not
//! the interleaving.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use harness::control_plane::Options;
use harness::{ControlPlane, Error, Result, World};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

mod cast;
mod cluster;
mod events;
mod evidence;
mod faults;
mod judge;
mod leaks;
mod plan;
mod replicas;
mod settle;
mod summary;
mod tenants;

use cluster::Cluster;
use events::Events;
use evidence::Evidence;
use faults::Faults;
use plan::{Step, What};
use replicas::Replicas;
use tenants::Tenants;

/// How often the soak checks which resources need another code, and whether work runs dry.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// Fewer unfinished resources than this are too little work.
const DRY: usize = 25;

/// Two replicas under random faults, then every status against the ledger.
#[derive(Parser)]
struct Args {
    /// How long faults go on.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Resources to create over that time; more if the work runs dry.
    #[arg(long, default_value_t = 2000)]
    resources: usize,
    /// Seed of the plan; without it, one from the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Mean time between two faults, in seconds.
    #[arg(long, default_value_t = 4.0)]
    fault_every: f64,
    /// Namespaces of the tenants.
    #[arg(long, default_value_t = 5)]
    namespaces: u64,
    /// `--signature-validity` of the operators, and what the cloud accepts, in seconds.
    #[arg(long, default_value_t = 20)]
    signature_validity: u64,
    /// Quota of the cloud, and `--qps` of the operators.
    #[arg(long, default_value_t = 10)]
    qps: u32,
    /// Percentage of the calls of steady spells that the cloud's quota may throttle: a machine
    /// busy with other things delays calls unevenly. 0 on one that is not.
    #[arg(long, default_value_t = 1.0)]
    throttles_percent: f64,
    /// Once no resource has settled for this long after the last fault, the wait ends, in minutes.
    #[arg(long, default_value_t = 3.0)]
    settle_minutes: f64,
    /// Operator binary; without it, it is built with this program's profile.
    #[arg(long)]
    operator_binary: Option<PathBuf>,
    /// Folder for the event log, and for the evidence if something is wrong; without it, one
    /// below the system's temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = tokio::select! {
        done = soak(&args) => done,
        _ = tokio::signal::ctrl_c() => Err(Error::new("soak", "interrupted")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn minutes(n: f64) -> Duration {
    Duration::try_from_secs_f64(n * 60.0).unwrap_or_default()
}

fn seed_of(args: &Args) -> u64 {
    let clock = || u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    args.seed.unwrap_or_else(clock)
}

/// The running parts.
struct Stage {
    world: Arc<World>,
    events: Arc<Events>,
    replicas: Arc<Replicas>,
    tenants: Arc<Tenants>,
    faults: Faults,
}

async fn soak(args: &Args) -> Result<bool> {
    let seed = seed_of(args);
    let dir = folder(args, seed)?;
    println!(
        "seed {seed}, event log {}",
        dir.join("events.jsonl").display()
    );
    let binary = match &args.operator_binary {
        Some(binary) => binary.clone(),
        None => harness::operator_binary().await?,
    };
    let plane_dir = TempDir::new().map_err(Error::at("temporary folder"))?;
    let stage = set_up(args, seed, &binary, plane_dir.path(), &dir).await?;
    let watching = Arc::clone(&stage.replicas);
    let watch = tokio::spawn(async move { watching.watch().await });
    let started = Instant::now();
    let steps = run(args, seed, &stage).await;
    println!(
        "{:.0} s: the last fault is over",
        started.elapsed().as_secs_f64()
    );
    let settled = settle::settle(&stage.tenants, minutes(args.settle_minutes)).await;
    watch.abort();
    let usage = stage.replicas.stop_all().await?;
    let objects = stage.tenants.cluster.list("").await;
    let objects = objects.ok_or_else(|| Error::new("end", "no list of PhoneMigrations"))?;
    let evidence = Evidence::gather(&stage.world, &stage.events, objects).await?;
    let report = summary::Report {
        seed,
        minutes: args.minutes,
        qps: args.qps,
        throttles: args.throttles_percent,
        took: started.elapsed(),
        settled,
        steps: &steps,
        usage,
        tenants: &stage.tenants,
        problems: stage.events.problems(),
    };
    let good = report.print(&evidence, &dir).await?;
    if !good {
        keep(&stage.world, &evidence, &dir)?;
    }
    Ok(good)
}

fn folder(args: &Args, seed: u64) -> Result<PathBuf> {
    let default = || std::env::temp_dir().join(format!("phone-migration-soak-{seed}"));
    let dir = args.dir.clone().unwrap_or_else(default);
    std::fs::create_dir_all(&dir).map_err(Error::at(dir.display()))?;
    Ok(dir)
}

async fn set_up(
    args: &Args,
    seed: u64,
    binary: &Path,
    plane_dir: &Path,
    dir: &Path,
) -> Result<Stage> {
    let control = ControlPlane::start(plane_dir, Options::default()).await;
    let control = control.map_err(Error::at("control plane"))?;
    let plane = Arc::new(harness::install(control).await?);
    let world = Arc::new(World::in_namespace(plane, binary, "soak").await?);
    for n in 0..args.namespaces {
        world.namespace(&format!("tenant-{n}")).await?;
    }
    let validity = args.signature_validity;
    let change = |settings: &mut harness::cams_simulator::Settings| {
        settings.timestamp_past_ms = Some(validity * 1000);
        settings.timestamp_future_ms = Some(validity * 1000);
        settings.quota.limit = args.qps;
    };
    let changed = world.sim.change_settings(change);
    changed.map_err(Error::at("simulator"))?;
    let events = Events::new(Arc::clone(&world), &dir.join("events.jsonl"))?;
    let events = Arc::new(events);
    events.note("seed", json!({"seed": seed, "minutes": args.minutes}));
    let flags = [
        "--signature-validity".to_owned(),
        format!("{validity}s"),
        "--qps".to_owned(),
        args.qps.to_string(),
    ];
    let replicas = Replicas::start(Arc::clone(&world), Arc::clone(&events), flags.into()).await?;
    let calm = Arc::new(RwLock::new(()));
    let cluster = Cluster {
        world: Arc::clone(&world),
        events: Arc::clone(&events),
    };
    let tenants = Tenants::new(cluster, seed, args.namespaces, Arc::clone(&calm));
    let faults = Faults::new(
        Arc::clone(&world),
        Arc::clone(&events),
        Arc::clone(&replicas),
        calm,
    );
    Ok(Stage {
        world,
        events,
        replicas,
        tenants: Arc::new(tenants),
        faults,
    })
}

/// The plan and the waves, to the end of both. Returns the plan.
async fn run(args: &Args, seed: u64, stage: &Stage) -> Vec<Step> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let length = minutes(args.minutes);
    let every = millis(minutes(args.fault_every / 60.0)).max(100);
    let steps = plan::plan(seed, millis(length), every);
    for step in &steps {
        stage.events.note("planned", step);
    }
    let started = Instant::now();
    let carried_out = carry_out(&steps, started, stage);
    let tended = tend(args, started, length, stage);
    tokio::join!(carried_out, tended);
    stage.faults.calm_down();
    stage.events.note("calm", json!({}));
    steps
}

/// All in one task: the futures of the control plane cannot be sent between threads.
async fn carry_out(steps: &[Step], started: Instant, stage: &Stage) {
    let mut running = FuturesUnordered::new();
    for step in steps {
        let due = sleep_until(started + Duration::from_millis(step.at_ms));
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                Some(()) = running.next() => {}
            }
        }
        running.push(async move {
            match step.what {
                What::Fault(fault) => stage.faults.carry_out(fault).await,
                What::Stir(stir, pick) => stage.tenants.stir(stir, pick).await,
            }
        });
    }
    while running.next().await.is_some() {}
}

/// New resources, evenly over the time and whenever work runs dry; corrections.
async fn tend(args: &Args, started: Instant, length: Duration, stage: &Stage) {
    let mut backlog = 0;
    let mut waves = JoinSet::new();
    while started.elapsed() < length {
        let share = started.elapsed().as_secs_f64() / length.as_secs_f64();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let due = (args.resources as f64 * (0.05 + share).min(1.0)) as usize;
        let mut size = due.saturating_sub(stage.tenants.count());
        if size + backlog < DRY {
            size = DRY;
        }
        // Some resources of a wave come late on purpose: the next wave does not wait for them.
        waves.spawn(Arc::clone(&stage.tenants).wave(size));
        if let Some(now) = stage.tenants.correct(false).await {
            backlog = now;
            stage.events.note("backlog", json!({"resources": now}));
        }
        sleep(TEND_EVERY).await;
    }
    waves.join_all().await;
}

/// Keeps the files that a person needs to find the cause.
fn keep(world: &World, evidence: &Evidence, dir: &Path) -> Result<()> {
    let lines = |values: Vec<String>| values.join("\n");
    let ledger = evidence.ledger.iter();
    let ledger = ledger.filter_map(|row| serde_json::to_string(row).ok());
    let objects = evidence.objects.iter().map(ToString::to_string);
    for (name, text) in [
        ("ledger.jsonl", lines(ledger.collect())),
        ("objects.jsonl", lines(objects.collect())),
    ] {
        std::fs::write(dir.join(name), text).map_err(Error::at(name))?;
    }
    for (n, log) in world.logs().into_iter().enumerate() {
        let name = format!("operator-{n}.log");
        std::fs::write(dir.join(&name), log).map_err(Error::at(name))?;
    }
    let audit = world.plane.control.audit_log_path();
    std::fs::copy(audit, dir.join("audit.log")).map_err(Error::at("audit log"))?;
    println!("evidence in {}", dir.display());
    Ok(())
}
