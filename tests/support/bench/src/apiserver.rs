//! The API server's own pace, beside which the operator's is to be read.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use harness::{Error, Result, World};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Place, operator};

/// One bare status write for each resource.
pub async fn baseline(place: &Place<'_>, resources: u32) -> Result<()> {
    let world = place.world("baseline").await?;
    world.fill(&world.namespace, 0..resources).await?;
    let started = Instant::now();
    let world = &world;
    stream::iter(0..resources)
        .map(|n| async move {
            let status =
                json!({"observedGeneration": 1, "reason": "Verified", "id": "82828893332"});
            world
                .patch_status(&format!("m{n}"), status)
                .await
                .map(|_| ())
        })
        .buffer_unordered(64)
        .try_collect::<()>()
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{resources} bare status writes in {seconds:.2} s: {:.0} per second",
        f64::from(resources) / seconds
    );
    Ok(())
}

/// What the operator asks of the API server for one number that is accepted.
async fn bare_requests(world: &World, n: u32, verified: &Value) -> Result<()> {
    let name = format!("m{n}");
    let api = world.migrations();
    let mut object = api.get(&name).await.map_err(Error::at("get"))?;
    let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    secrets
        .get(&format!("{name}-code"))
        .await
        .map_err(Error::at("secret"))?;
    let mut claim = verified.clone();
    if let Some(attempt) = claim["attempt"].as_object_mut() {
        attempt.remove("outcome");
    }
    for status in [&claim, verified] {
        object.data["status"] = status.clone();
        object = api
            .replace_status(&name, &PostParams::default(), &object)
            .await
            .map_err(Error::at("status"))?;
    }
    let events: Api<Event> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    let event = serde_json::from_value(json!({
        "metadata": {"name": format!("{name}.1")}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal", "reason": "Verified", "action": "Verify", "note": "the number is verified",
        "reportingController": "phonemigration.dev/phone-migration-operator", "reportingInstance": "bench",
        "regarding": {"apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration", "name": name, "namespace": world.namespace}
    })).map_err(Error::at("event"))?;
    events
        .create(&PostParams::default(), &event)
        .await
        .map(|_| ())
        .map_err(Error::at("event"))
}

/// The protocol's own requests without any decision, call or wait. With many at a time this is
/// what the API server leaves of the machine: no operator that claims can exceed it.
pub async fn floor(place: &Place<'_>, resources: u32) -> Result<()> {
    let world = place.world("floor").await?;
    world.fill(&world.namespace, 0..1).await?;
    let mut operator = operator(&world, &["--qps", "0"]).await?;
    world.until_all_verified(1, Duration::from_secs(60)).await?;
    operator.stop().await?;
    let verified = world.list().await?[0]["status"].clone();
    let world = place.world("floor").await?;
    world.fill(&world.namespace, 0..resources).await?;
    let started = Instant::now();
    let (world, verified) = (&world, &verified);
    stream::iter(0..resources)
        .map(|n| bare_requests(world, n, verified))
        .buffer_unordered(64)
        .try_collect::<()>()
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{resources} times the bare requests in {seconds:.2} s: {:.0} per second",
        f64::from(resources) / seconds
    );
    Ok(())
}
