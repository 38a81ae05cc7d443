//! `image-check`: starts a binary as the image's container would, and lets it do the main job.
//!
//! It gets the same as the shipped Deployment's pod gets from the kubelet: an empty read-only root
//! with this one file in it, the numeric user, process 1 of its own process namespace, the
//! Deployment's arguments, the ServiceAccount's token where a pod finds it, and the mounted
//! Secrets. It does not get /proc, /dev and its own network.

mod pod;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use harness::control_plane::Options;
use harness::{ControlPlane, Error, Operator, Result, World};

/// Runs a static binary in an empty root, against a real API server and the CAMS simulator.
///
/// Needs root, for mount, chroot and setuid (or `unshare --map-auto --map-root-user` around it).
#[derive(Parser)]
struct Cli {
    /// The binary, as deploy/build-static.sh makes it
    binary: PathBuf,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match check(&Cli::parse().binary).await {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "image-check: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One line with the figures.
async fn check(binary: &Path) -> Result<String> {
    let size = std::fs::metadata(binary)
        .map_err(Error::at(binary.display()))?
        .len();
    let dir = tempfile::tempdir().map_err(Error::at("temporary folder"))?;
    let control = ControlPlane::start(dir.path().join("control-plane"), Options::default())
        .await
        .map_err(Error::at("control plane"))?;
    let plane = Arc::new(harness::install(control).await?);
    let world = World::in_namespace(plane, pod::ENTER, "tenant-a").await?;
    let root = dir.path().join("root");
    pod::fill(&world, &root, binary).await?;

    let launch = pod::launch(&world, &root)?;
    let mut operator = Operator::spawn(&launch)?;
    operator.ready().await?;
    let inside = pod::inside(&operator)?;
    let idle = pod::resident_kib(inside)?;
    world
        .ready_migration("store-1", "8613800000001", "12345678")
        .await?;
    world.until_reason("store-1", "Verified").await?;
    pod::terminate(inside).await?;
    let code = operator.ended(Duration::from_secs(50)).await?;
    if code != Some(0) {
        return Err(Error::new("the container ended", format!("{code:?}")));
    }
    world.finish().await?;
    Ok(format!(
        "Verified a number from an empty read-only root; binary {} bytes, {idle} KiB resident when idle",
        size
    ))
}
