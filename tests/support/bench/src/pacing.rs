//! Figures of the pacer and of holds.

use std::path::PathBuf;
use std::time::Duration;

use harness::cams_simulator::{
    self, AccessKey, AccountSettings, Entry, Fault, FaultRule, READ_STATUS, Refusal, VERIFIED,
};
use harness::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Error, Operator, Result, World, crowd_name, crowd_phone,
};
use tokio::time::Instant;

use crate::rolling::picture;
use crate::{Place, claims, operator, per_resource};

/// The codes before a spell are accepted by then.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(120);

const SEED: u64 = 1;

/// Many resources at once under a strict rolling quota of 10 per second.
#[derive(clap::Args)]
pub struct Pace {
    /// How many resources.
    #[arg(long, default_value_t = 300)]
    resources: u32,
    /// How long the server works on a call after it was counted, in milliseconds.
    #[arg(long, default_value_t = 50)]
    processing_ms: u64,
    /// Added to it, uniform from 0 to this, in milliseconds.
    #[arg(long, default_value_t = 0)]
    processing_jitter_ms: u64,
    /// Uniform lateness of arrival, in milliseconds.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// It begins when so many codes were accepted.
    #[arg(long, default_value_t = 0)]
    jitter_after: u64,
    /// Seed of both.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Where the plot of calls in each second is written, as SVG.
    #[arg(long)]
    svg: Option<PathBuf>,
}

impl Pace {
    /// Prints the figures.
    pub async fn run(&self, place: &Place<'_>) -> Result<()> {
        let world = place.world("pace").await?;
        world.sim.set_processing(self.processing_ms);
        world.sim.set_processing_jitter(self.processing_jitter_ms);
        world.sim.set_jitter(0, self.seed);
        world.expect_throttles();
        world.fill(&world.namespace, 0..self.resources).await?;
        let started = Instant::now();
        let mut operator = operator(&world, &[]).await?;
        world
            .until_accepted(self.jitter_after, ACCEPTED_WITHIN)
            .await?;
        world.sim.set_jitter(self.jitter_ms, self.seed);
        let within = Duration::from_secs(60 + u64::from(self.resources) / 4);
        world.until_all_verified(self.resources, within).await?;
        println!(
            "{} resources, processing {} + 0 to {} ms, jitter 0 to {} ms after {}: {:.1} s",
            self.resources,
            self.processing_ms,
            self.processing_jitter_ms,
            self.jitter_ms,
            self.jitter_after,
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
        if let Some(path) = &self.svg {
            let conditions = format!(
                "{} numbers at once. The delay of a call varies by up to {} ms.",
                self.resources,
                self.jitter_ms + self.processing_jitter_ms
            );
            let plot = picture(&ledger, world.sim.settings().quota.limit, &conditions);
            std::fs::write(path, plot).map_err(Error::at("plot"))?;
        }
        println!(
            "executed per code at most {}",
            figures.summary.max_executed_per_code
        );
        per_resource(&figures.requests, self.resources);
        claims(&figures.requests, self.resources);
        operator.stop().await.map(|_| ())
    }
}

/// Share of the quota used over the middle 80 % of the time.
fn middle_utilisation(times: &[u64]) -> f64 {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return 0.0;
    };
    let tenth = (last - first) / 10;
    cams_simulator::utilisation(times, first + tenth, last - tenth, 10)
}

/// A spell in which the server throttles every call.
#[derive(clap::Args)]
pub struct Throttled {
    /// How many resources are left when it begins.
    #[arg(long, default_value_t = 200)]
    resources: u32,
    /// How long it lasts, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long the server works on a call after it was counted, in milliseconds.
    #[arg(long, default_value_t = 50)]
    processing_ms: u64,
    /// Status reads pass.
    #[arg(long)]
    submissions_only: bool,
}

impl Throttled {
    /// Prints the figures.
    pub async fn run(&self, place: &Place<'_>) -> Result<()> {
        /// Accepted before it begins.
        const BEFORE: u32 = 10;
        let world = place.world("throttled").await?;
        world.sim.set_processing(self.processing_ms);
        world.expect_throttles();
        let resources = self.resources + BEFORE;
        world.fill(&world.namespace, 0..resources).await?;
        let mut operator = operator(&world, &[]).await?;
        world
            .until_accepted(u64::from(BEFORE), ACCEPTED_WITHIN)
            .await?;
        let refusal = Refusal::new(400, "Throttling.User", "Request was denied.");
        let ms = self.seconds * 1000;
        let spell = FaultRule::new(Fault::Throttle { ms, refusal });
        let spell = match self.submissions_only {
            true => spell.action(VERIFIED),
            false => spell,
        };
        let begin = world.sim.now_us();
        world.sim.add_fault(spell).map_err(Error::at("fault"))?;
        let end = begin + ms * 1000;
        let within = Duration::from_secs(self.seconds * 4 + u64::from(resources));
        world.until_all_verified(resources, within).await?;
        let ledger = world.sim.ledger();
        let meanwhile = |action| {
            let of = |e: &&Entry| e.action == action && (begin..end).contains(&e.arrived_us);
            ledger.iter().filter(of).count()
        };
        let after = |e: &&Entry| e.admitted() && e.counted_us >= Some(end);
        let seconds = |at: u64| Duration::from_micros(at.saturating_sub(end)).as_secs_f64();
        let any = ledger.iter().filter(after).filter_map(|e| e.counted_us);
        let submitted = ledger.iter().filter(after).filter(|e| e.action == VERIFIED);
        let executed: Vec<u64> = submitted.filter_map(|e| e.executed_us).collect();
        println!(
            "throttled for {} s: meanwhile {} submissions and {} reads; after it the first call \
             through {:.2} s, the first code {:.2} s, the last {:.2} s",
            self.seconds,
            meanwhile(VERIFIED),
            meanwhile(READ_STATUS),
            any.min().map_or(f64::NAN, seconds),
            executed.iter().min().copied().map_or(f64::NAN, seconds),
            executed.iter().max().copied().map_or(f64::NAN, seconds),
        );
        world.finish().await?;
        operator.stop().await.map(|_| ())
    }
}

/// The cause that held the account, and its repair.
#[derive(Clone, Copy, Debug)]
enum Repair {
    /// The secret in the credentials folder is wrong, and is replaced.
    Files,
    /// The service has another secret for the key; then a person asks by requestedAt.
    KeyAndRequest,
    /// The account may not submit; then a person asks by requestedAt.
    RightAndRequest,
}

/// Prints the figures of each repair.
pub async fn repair(place: &Place<'_>, held: Duration) -> Result<()> {
    for how in [
        Repair::Files,
        Repair::KeyAndRequest,
        Repair::RightAndRequest,
    ] {
        let (world, mut operator) = broken(place, how).await?;
        world.fill(&world.namespace, 0..1).await?;
        let name = crowd_name(0);
        let reason = match how {
            Repair::Files | Repair::KeyAndRequest => "CredentialsInvalid",
            Repair::RightAndRequest => "AccountError",
        };
        world.until_reason(&name, reason).await?;
        tokio::time::sleep(held).await;
        let before = world.calls(&crowd_phone(0)).len();
        mend(&world, how)?;
        let repaired = world.sim.now_us();
        if !matches!(how, Repair::Files) {
            world.request(&name, "repaired").await?;
        }
        world
            .until_all_verified(1, Duration::from_secs(600))
            .await?;
        let calls = world.calls(&crowd_phone(0));
        let first = calls.get(before).map_or(0, |call| call.arrived_us);
        println!(
            "{how:?}, held for {} s: repair to first submission {:.2} s",
            held.as_secs(),
            Duration::from_micros(first.saturating_sub(repaired)).as_secs_f64()
        );
        world.finish().await?;
        operator.stop().await?;
    }
    Ok(())
}

async fn broken(place: &Place<'_>, how: Repair) -> Result<(World, Operator)> {
    let world = place.world("repair").await?;
    let folder = world.dir().join("credentials");
    std::fs::create_dir_all(&folder).map_err(Error::at("credentials"))?;
    write_secret(&world, ACCESS_KEY_SECRET)?;
    let id = folder.join("ALIBABA_CLOUD_ACCESS_KEY_ID");
    std::fs::write(id, ACCESS_KEY_ID).map_err(Error::at("credentials"))?;
    match how {
        Repair::Files => write_secret(&world, "a-wrong-secret")?,
        Repair::KeyAndRequest => world.sim.add_key(AccessKey::new(ACCESS_KEY_ID, "another")),
        Repair::RightAndRequest => {
            let denial = AccountSettings::ram_denial();
            let denied = world.sim.change_settings(|settings| {
                let account = settings.accounts.entry(ACCESS_KEY_ID.into()).or_default();
                account.denied.insert(VERIFIED.to_owned(), denial);
            });
            denied.map_err(Error::at("settings"))?;
        }
    }
    let folder = folder.to_string_lossy().into_owned();
    let operator = operator(&world, &["--credentials-dir", &folder]).await?;
    Ok((world, operator))
}

fn mend(world: &World, how: Repair) -> Result<()> {
    match how {
        Repair::Files => write_secret(world, ACCESS_KEY_SECRET),
        Repair::KeyAndRequest => {
            let right = AccessKey::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET);
            world.sim.add_key(right);
            Ok(())
        }
        Repair::RightAndRequest => {
            let mended = world.sim.change_settings(|s| s.accounts.clear());
            mended.map_err(Error::at("settings"))
        }
    }
}

fn write_secret(world: &World, secret: &str) -> Result<()> {
    let file = "credentials/ALIBABA_CLOUD_ACCESS_KEY_SECRET";
    std::fs::write(world.dir().join(file), secret).map_err(Error::at("credentials"))
}
