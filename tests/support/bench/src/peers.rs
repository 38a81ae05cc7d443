//! Compares the operator with two that competent engineers write with kopf and with
//! controller-runtime (`tests/support/bench/peers`): the same numbers, faults and seed for each,
//! and how many codes each sent twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use go_build::Programs;
use harness::cams_simulator::{Fault, FaultRule, Stage, VERIFIED};
use harness::{Error, Operator, Result, World, crowd_phone};
use picture::{Bar, bars};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::Place;

/// A run is over after this time without a call.
const QUIET: Duration = Duration::from_secs(25);
/// How long a run takes at most.
const LONGEST: Duration = Duration::from_secs(240);
/// The cloud's work on a call, in milliseconds: time in which a process can be killed.
const PROCESSING_MS: u64 = 300;

#[derive(Args)]
pub struct PeersArgs {
    /// How many resources.
    #[arg(long, default_value_t = 200)]
    resources: u32,
    /// How often the process is killed.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// How many replies are lost, in runs of their own.
    #[arg(long, default_value_t = 20)]
    lost: u32,
    /// Decides which calls are hit.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A Python that has tests/support/bench/peers/requirements.txt; without it kopf is left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the plot is written, as SVG.
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum Peer<'a> {
    Ours,
    ControllerRuntime(&'a Path),
    Kopf(&'a Path),
}

impl Peer<'_> {
    fn name(self) -> &'static str {
        match self {
            Peer::Ours => "phone-migration-operator",
            Peer::ControllerRuntime(_) => "controller-runtime and SDK",
            Peer::Kopf(_) => "kopf and SDK",
        }
    }
}

#[derive(Clone, Copy)]
enum Trouble {
    Kills(u32),
    LostReplies(u32),
}

/// A process under test.
enum Running {
    Ours(Operator),
    Peer(Child),
}

impl Running {
    async fn start(peer: Peer<'_>, world: &World) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let mut command = match peer {
            Peer::Ours => {
                let mut launch = world.launch(&[])?;
                launch.env.retain(|(name, _)| name != "RUST_LOG");
                return Operator::spawn(&launch).map(Running::Ours);
            }
            Peer::ControllerRuntime(program) => Command::new(program),
            Peer::Kopf(python) => {
                let mut command = Command::new(python);
                let script = folder.join("kopf_operator.py");
                command.args(["-m", "kopf", "run", "--standalone", "--all-namespaces"]);
                command.arg(script);
                command
            }
        };
        let kubeconfig = world.plane.control.admin_kubeconfig_path();
        let peer = command
            .env("KUBECONFIG", kubeconfig)
            .env("CAMS_ENDPOINT", world.sim.url())
            .env("CAMS_QPS", "10")
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", harness::ACCESS_KEY_ID)
            .env(
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                harness::ACCESS_KEY_SECRET,
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::at("peer"))?;
        Ok(Running::Peer(peer))
    }

    async fn kill(self) -> Result<()> {
        match self {
            Running::Ours(mut operator) => operator.kill().await.map(|_| ()),
            Running::Peer(mut peer) => peer.kill().await.map_err(Error::at("kill")),
        }
    }
}

/// The result of a run.
struct Came {
    calls: usize,
    /// Calls that the cloud throttled: it judged no code.
    throttled: usize,
    /// Codes that it judged more than once.
    sent_twice: u32,
    /// Numbers that the cloud moved but whose resource has no Id.
    lost: u32,
}

pub async fn peers(place: &Place<'_>, args: &PeersArgs) -> Result<()> {
    let go = controller_runtime()?;
    let mut all = vec![Peer::Ours];
    all.extend(args.python.as_deref().map(Peer::Kopf));
    all.push(Peer::ControllerRuntime(&go));
    let mut groups = Vec::new();
    for (title, trouble) in [
        (
            format!("{} SIGKILLs", args.kills),
            Trouble::Kills(args.kills),
        ),
        (
            format!("{} lost replies", args.lost),
            Trouble::LostReplies(args.lost),
        ),
    ] {
        let mut group = Vec::new();
        for (n, &peer) in all.iter().enumerate() {
            let world = place.world(&format!("peer{n}")).await?;
            let came = run(&world, peer, trouble, args).await?;
            println!(
                "{title}, {} resources, seed {}: {}: {} calls, {} throttled, {} codes sent twice, {} outcomes lost",
                args.resources,
                args.seed,
                peer.name(),
                came.calls,
                came.throttled,
                came.sent_twice,
                came.lost
            );
            clear(&world).await?;
            group.push(Bar {
                name: peer.name(),
                value: came.sent_twice,
            });
        }
        groups.push((title, group));
    }
    if let Some(path) = &args.svg {
        let title = format!("Codes sent twice, of {}", args.resources);
        std::fs::write(path, bars(&title, &groups)).map_err(Error::at("plot"))?;
    }
    Ok(())
}

fn controller_runtime() -> Result<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/go");
    let dir = Programs {
        module: &module,
        cache: "bench-peer",
        version: "v1",
        packages: &["."],
        programs: &["peer"],
        sources: &["go.mod", "go.sum", "main.go", "api.go"],
        linker_flags: "-s -w",
        tags: "",
        takes: "about 3 min on two cores",
        otherwise: "",
    }
    .ensure()
    .map_err(Error::at("controller-runtime"))?;
    Ok(dir.join("peer"))
}

async fn run(world: &World, peer: Peer<'_>, trouble: Trouble, args: &PeersArgs) -> Result<Came> {
    let mut rng = fastrand::Rng::with_seed(args.seed);
    world.sim.set_processing(PROCESSING_MS);
    let mut numbers: Vec<u32> = (0..args.resources).collect();
    rng.shuffle(&mut numbers);
    let mut kills = Vec::new();
    match trouble {
        Trouble::LostReplies(count) => {
            for n in numbers.iter().take(count as usize) {
                let lost = FaultRule::new(Fault::close(Stage::Executed)).action(VERIFIED);
                let lost = lost.phone(crowd_phone(*n)).once();
                world.sim.add_fault(lost).map_err(Error::at("fault"))?;
            }
        }
        Trouble::Kills(count) => {
            // After so many calls, and so many milliseconds.
            kills = (0..count)
                .map(|_| {
                    (
                        rng.u32(1..args.resources * 9 / 10),
                        rng.u64(0..PROCESSING_MS),
                    )
                })
                .collect();
            kills.sort_unstable();
        }
    }
    world.fill(&world.namespace, 0..args.resources).await?;
    let mut running = Running::start(peer, world).await?;
    for (calls, wait) in kills {
        until(world, calls as usize).await?;
        sleep(Duration::from_millis(wait)).await;
        running.kill().await?;
        running = Running::start(peer, world).await?;
    }
    until_quiet(world).await;
    let came = judge(world).await;
    running.kill().await?;
    came
}

fn calls(world: &World) -> usize {
    let ledger = world.sim.ledger();
    ledger.iter().filter(|e| e.action == VERIFIED).count()
}

/// So many calls have arrived.
async fn until(world: &World, count: usize) -> Result<()> {
    let deadline = Instant::now() + LONGEST;
    while calls(world) < count {
        if Instant::now() > deadline {
            return Err(Error::new("peers", format!("no {count} calls")));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn until_quiet(world: &World) {
    let deadline = Instant::now() + LONGEST;
    let (mut before, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET && Instant::now() < deadline {
        let now = calls(world);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn judge(world: &World) -> Result<Came> {
    let ledger = world.sim.ledger();
    let all: Vec<_> = ledger.iter().filter(|e| e.action == VERIFIED).collect();
    // A throttled call may be made again: it spent nothing.
    let calls: Vec<_> = all.iter().filter(|call| call.admitted()).collect();
    let mut by_code: BTreeMap<_, u32> = BTreeMap::new();
    for call in &calls {
        *by_code.entry((&call.phone, &call.code)).or_default() += 1;
    }
    let twice = by_code.values().filter(|count| **count > 1).count();
    let moved: Vec<_> = calls.iter().filter(|c| c.executed()).collect();
    let objects = world.migrations().list(&Default::default()).await;
    let objects = objects.map_err(Error::at("list"))?;
    let has_id = |phone: &Option<String>| {
        objects.items.iter().any(|object| {
            object.data["spec"]["phoneNumber"].as_str() == phone.as_deref()
                && object.data["status"]["id"].as_str().is_some()
        })
    };
    let mut lost: Vec<_> = moved.iter().map(|c| &c.phone).collect();
    lost.sort_unstable();
    lost.dedup();
    let lost = lost.into_iter().filter(|phone| !has_id(phone)).count();
    Ok(Came {
        calls: all.len(),
        throttled: all.len() - calls.len(),
        sent_twice: u32::try_from(twice).unwrap_or(u32::MAX),
        lost: u32::try_from(lost).unwrap_or(u32::MAX),
    })
}

/// The peers watch all namespaces, so the next peer must not find these resources.
async fn clear(world: &World) -> Result<()> {
    let all = world.migrations();
    all.delete_collection(&Default::default(), &Default::default())
        .await
        .map(|_| ())
        .map_err(Error::at("delete"))
}
