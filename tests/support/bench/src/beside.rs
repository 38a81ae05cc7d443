//! Resources that are each alone in their namespace, while another tenant has a crowd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use harness::cams_simulator::VERIFIED;
use harness::{Error, Migration, Result, World, crowd_code, crowd_name, crowd_phone};
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::{Place, operator};

/// Requests in flight at a time.
const AT_A_TIME: usize = 16;
/// Between two changes of each resource that changes.
const BETWEEN_CHANGES: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(1200);

#[derive(clap::Args)]
pub struct Args {
    /// Resources of the crowd that wait for their Secrets.
    #[arg(long, default_value_t = 3000)]
    waiting: u32,
    /// Resources of the crowd that are annotated every 6 s.
    #[arg(long, default_value_t = 300)]
    changing: u32,
    /// Resources of the crowd, with codes, that are deleted before the Secrets come.
    #[arg(long, default_value_t = 2000)]
    vanished: u32,
    /// How many resources are alone in a namespace.
    #[arg(long, default_value_t = 10)]
    alone: u32,
    /// How long these have waited when their Secrets come, in seconds.
    #[arg(long, default_value_t = 20)]
    waited: u64,
}

/// Figures of one resource that is alone, in seconds since its Secret was there.
struct Times {
    found: f64,
    called: f64,
}

pub async fn beside(place: &Place<'_>, args: Args) -> Result<()> {
    let world = Arc::new(place.world("beside").await?);
    let crowd = format!("{}-crowd", world.namespace);
    world.namespace(&crowd).await?;
    let alone: Vec<String> = (0..args.alone)
        .map(|n| format!("{}-{n}", world.namespace))
        .collect();
    for namespace in &alone {
        world.namespace(namespace).await?;
    }
    // An empty value watches all namespaces.
    let mut operator = operator(&world, &["--watch-namespaces", ""]).await?;
    let (waiting, changing) = (args.waiting, args.waiting + args.changing);
    create(&world, &crowd, 0..changing).await?;
    let vanished = changing..changing + args.vanished;
    world.fill(&crowd, vanished.clone()).await?;
    // A round of the crowd's polls is in progress.
    tokio::time::sleep(Duration::from_secs(30)).await;
    delete(&world, &crowd, vanished.clone()).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let changes = change(&world, &crowd, waiting..changing, Arc::clone(&stop));
    let first = vanished.end;
    let samples = async {
        let samples = alone.iter().zip(first..);
        let times: Vec<Times> = stream::iter(samples)
            .map(|(namespace, n)| sample(&world, namespace, n, args.waited))
            .buffer_unordered(alone.len())
            .try_collect()
            .await?;
        stop.store(true, Ordering::Relaxed);
        Ok(times)
    };
    let (times, changed) = tokio::join!(samples, changes);
    changed?;
    let times: Vec<Times> = times?;
    println!(
        "beside {} waiting, {} changing, {} vanished, after waiting {} s:",
        args.waiting, args.changing, args.vanished, args.waited
    );
    told("Secret created to found", times.iter().map(|t| t.found));
    told("found to called", times.iter().map(|t| t.called - t.found));
    told("Secret created to called", times.iter().map(|t| t.called));
    operator.stop().await.map(|_| ())
}

fn told(what: &str, seconds: impl Iterator<Item = f64>) {
    let mut seconds: Vec<f64> = seconds.collect();
    seconds.sort_by(f64::total_cmp);
    let (median, worst) = (seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
    println!("  {what}: median {median:.2} s, worst {worst:.2} s");
}

/// Resources without Secrets.
async fn create(world: &World, namespace: &str, which: std::ops::Range<u32>) -> Result<()> {
    stream::iter(which)
        .map(|n| async move {
            let migration = Migration::new(crowd_name(n), crowd_phone(n));
            world.create_in(namespace, &migration).await.map(|_| ())
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

async fn delete(world: &World, namespace: &str, which: std::ops::Range<u32>) -> Result<()> {
    let api = &world.migrations_in(namespace);
    stream::iter(which)
        .map(|n| async move {
            let deleted = api.delete(&crowd_name(n), &DeleteParams::default()).await;
            deleted.map(|_| ()).map_err(Error::at("delete"))
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Annotates each of them every 6 s until stopped.
async fn change(
    world: &World,
    namespace: &str,
    which: std::ops::Range<u32>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    let api = &world.migrations_in(namespace);
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        round += 1;
        let patch = &json!({"metadata": {"annotations": {
            "phonemigration.dev/requestedAt": round.to_string()}}});
        stream::iter(which.clone())
            .map(|n| async move {
                let patched = api
                    .patch(
                        &crowd_name(n),
                        &PatchParams::default(),
                        &Patch::Merge(patch),
                    )
                    .await;
                patched.map(|_| ()).map_err(Error::at("annotate"))
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await?;
        tokio::time::sleep_until(began + BETWEEN_CHANGES).await;
    }
    Ok(())
}

async fn sample(world: &World, namespace: &str, n: u32, waited: u64) -> Result<Times> {
    let (name, phone, code) = (crowd_name(n), crowd_phone(n), crowd_code(n));
    world.number(&phone, &code, "id");
    let migration = Migration::new(&name, &phone);
    world.create_in(namespace, &migration).await?;
    // Not all at the same point of their intervals.
    let apart = Duration::from_millis(u64::from(n) * 773 % 10_000);
    tokio::time::sleep(Duration::from_secs(waited) + apart).await;
    let secret = format!("{name}-code");
    world
        .secret_in(namespace, &secret, json!({"code": code}))
        .await?;
    let (created, created_at) = (Instant::now(), Timestamp::now());
    let is_it = |e: &harness::cams_simulator::Entry| {
        e.action == VERIFIED && e.phone.as_deref() == Some(phone.as_str())
    };
    let call = world.sim.wait_entry(PATIENCE, is_it).await;
    call.ok_or_else(|| Error::new(&name, "was never called"))?;
    let called = created.elapsed().as_secs_f64();
    let user = world.plane.operator_user();
    let read = |e: &harness::AuditEntry| {
        e.user == user && e.resource == "secrets" && e.name == secret && e.code == 200
    };
    let reads = world.plane.control.audit_entries(read);
    let reads = reads.map_err(Error::at("audit log"))?;
    let first = reads.iter().map(|e| e.timestamp).min();
    let first = first.ok_or_else(|| Error::new(secret, "was never read"))?;
    Ok(Times {
        found: first.duration_since(created_at).as_secs_f64(),
        called,
    })
}
