//! How long a sign-in takes, and how soon work goes on when STS is back.

use std::time::Duration;

use harness::cams_simulator::{Entry, Fault, FaultRule, READ_STATUS, Stage, WITH_OIDC};
use harness::{Error, Result, World};
use tokio::time::Instant;

use super::{Place, operator};

const WITHIN: Duration = Duration::from_secs(180);

/// Waits until the ledger holds an entry that fits; returns its arrival.
async fn arrival(world: &World, fits: impl Fn(&Entry) -> bool) -> Result<u64> {
    let found = world.sim.wait_entry(WITHIN, fits).await;
    let found = found.map(|entry| entry.arrived_us);
    found.ok_or_else(|| Error::new("sign-in", "not in time"))
}

fn ms(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1000
}

/// From a cold start to the first call, and the memory of it.
pub async fn cold(place: &Place<'_>) -> Result<()> {
    let world = place.world("sign-in").await?;
    world.rrsa(world.role()).await?;
    world.fill(&world.namespace, 0..1).await?;
    let started = world.sim.now_us();
    let mut operator = operator(&world, &["--credentials=oidc"]).await?;
    let signed_in = arrival(&world, |entry| entry.action == WITH_OIDC).await?;
    let called = arrival(&world, |entry| entry.action == READ_STATUS).await?;
    println!(
        "cold start: STS asked after {} ms, first call of CAMS {} ms later",
        ms(started, signed_in),
        ms(signed_in, called)
    );
    world.until_all_verified(1, WITHIN).await?;
    let resident = operator.resident_kib().unwrap_or_default();
    println!("resident: {resident} KiB");
    world.finish().await?;
    operator.stop().await.map(|_| ())
}

/// STS is away beyond the end of the key in use; then it is back.
#[derive(clap::Args)]
pub struct Away {
    /// How many resources.
    #[arg(long, default_value_t = 200)]
    resources: u32,
    /// Life of the keys, in place of an hour, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    life_ms: u64,
    /// How long it is away, in seconds.
    #[arg(long, default_value_t = 120)]
    away: u64,
}

impl Away {
    /// Runs it.
    pub async fn run(self, place: &Place<'_>) -> Result<()> {
        away(place, self.resources, self.life_ms, self.away).await
    }
}

async fn away(place: &Place<'_>, resources: u32, life_ms: u64, away: u64) -> Result<()> {
    let world = place.world("sts-away").await?;
    world.rrsa(world.role().living_ms(life_ms)).await?;
    let mut operator = operator(&world, &["--credentials=oidc"]).await?;
    world.fill(&world.namespace, 0..resources).await?;
    arrival(&world, |entry| entry.action == READ_STATUS).await?;
    let rule = FaultRule::new(Fault::close(Stage::Received)).action(WITH_OIDC);
    let rule = world.sim.add_fault(rule).map_err(Error::at("simulator"))?;
    tokio::time::sleep(Duration::from_secs(away)).await;
    let before = world.by_reason().await?;
    world.sim.add_role(world.role());
    world.sim.remove_fault(rule);
    let (back, back_us) = (Instant::now(), world.sim.now_us());
    let key = |entry: &Entry| entry.action == WITH_OIDC && entry.arrived_us > back_us;
    let key = arrival(&world, key).await?;
    let call = |entry: &Entry| entry.action == READ_STATUS && entry.arrived_us > key;
    let call = arrival(&world, call).await?;
    println!(
        "STS away for {away} s ({before:?}); back: asked after {} ms, first call after {} ms",
        ms(back_us, key),
        ms(back_us, call)
    );
    world.until_all_verified(resources, WITHIN).await?;
    println!(
        "all {resources} verified {:.1} s after that",
        back.elapsed().as_secs_f64()
    );
    let figures = world.finish().await?;
    println!(
        "executed per code at most {}",
        figures.summary.max_executed_per_code
    );
    operator.stop().await.map(|_| ())
}
