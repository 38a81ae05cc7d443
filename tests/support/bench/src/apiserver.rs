//! Measures the API server's own pace. Read the operator's figures against it.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use harness::{Error, Result, World, crowd_phone};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Place, operator, throughput};

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

/// The operator's requests to the API server for one accepted number whose code is already there:
/// the claim and the outcome in the number's CodeLedger, and then the status.
async fn bare_requests(apis: &Apis, n: u32, verified: &Verified) -> Result<()> {
    let name = format!("m{n}");
    let Apis {
        migrations,
        secrets,
        ledgers,
        events,
    } = apis;
    let secret = format!("{name}-code");
    secrets.get(&secret).await.map_err(Error::at("secret"))?;
    // As long as the operator's own names.
    let number = format!("{n:032x}");
    let (object, again, absent) = tokio::join!(
        migrations.get(&name),
        secrets.get(&secret),
        ledgers.get_opt(&number)
    );
    object.map_err(Error::at("get"))?;
    again.map_err(Error::at("secret"))?;
    if absent.map_err(Error::at("ledger"))?.is_some() {
        return Err(Error::new(number, "has a ledger already"));
    }
    let claim = as_ledger(&verified.ledger, &number, n, false)?;
    let strict = PostParams::default();
    let claimed = ledgers.create(&strict, &claim).await;
    let claimed = claimed.map_err(Error::at("claim"))?;
    let mut object = migrations.get(&name).await.map_err(Error::at("get"))?;
    let mut outcome = as_ledger(&verified.ledger, &number, n, true)?;
    outcome.metadata.resource_version = claimed.metadata.resource_version;
    let replaced = ledgers.replace(&number, &strict, &outcome).await;
    replaced.map_err(Error::at("outcome"))?;
    object.data["status"] = verified.status.clone();
    let shown = migrations.replace_status(&name, &strict, &object).await;
    shown.map_err(Error::at("status"))?;
    let event = serde_json::from_value(json!({
        "metadata": {"name": format!("{name}.1")}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal", "reason": "Verified", "action": "Verify", "note": "the number is verified",
        "reportingController": "phonemigration.dev/phone-migration-operator", "reportingInstance": "bench",
        "regarding": {"apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration", "name": name, "namespace": events.namespace()}
    })).map_err(Error::at("event"))?;
    events
        .create(&PostParams::default(), &event)
        .await
        .map(|_| ())
        .map_err(Error::at("event"))
}

/// With the operator's token: the API server checks its rights at each request, as for the operator.
struct Apis {
    migrations: Api<DynamicObject>,
    secrets: Api<Secret>,
    ledgers: Api<DynamicObject>,
    events: Api<Event>,
}

impl Apis {
    async fn of(world: &World) -> Result<Self> {
        let token = world.plane.operator_token();
        let client = world.plane.control.client(token).await;
        let client = client.map_err(Error::at("client"))?;
        let of_kind = |kind: &str, namespace: &str| {
            let kind = GroupVersionKind::gvk("phonemigration.dev", "v1alpha1", kind);
            Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
        };
        Ok(Self {
            migrations: of_kind("PhoneMigration", &world.namespace),
            ledgers: of_kind("CodeLedger", &world.ledger_namespace),
            secrets: Api::namespaced(client.clone(), &world.namespace),
            events: Api::namespaced(client.clone(), &world.namespace),
        })
    }
}

/// The operator's writes for an accepted number.
struct Verified {
    status: Value,
    ledger: Value,
}

/// The same ledger of another number, before or after its outcome.
fn as_ledger(verified: &Value, name: &str, n: u32, ended: bool) -> Result<DynamicObject> {
    let mut ledger = verified.clone();
    ledger["metadata"] = json!({"name": name});
    ledger["spec"]["phoneNumber"] = json!(crowd_phone(n));
    if !ended && let Some(entry) = ledger["entries"][0].as_object_mut() {
        for field in ["outcome", "requestId", "id", "finishedAt"] {
            entry.remove(field);
        }
    }
    serde_json::from_value(ledger).map_err(Error::at("ledger"))
}

/// Sends the protocol's own requests without any decision, call or wait. With many at a time, this
/// is the limit that the API server sets on this machine: an operator that claims cannot exceed it.
pub struct Floor(Verified);

impl Floor {
    /// Takes the writes from an operator that verifies one number.
    pub async fn learn(place: &Place<'_>) -> Result<Self> {
        let world = place.world("floor").await?;
        world.fill(&world.namespace, 0..1).await?;
        let mut operator = operator(&world, &["--qps", "0"]).await?;
        world.until_all_verified(1, Duration::from_secs(60)).await?;
        operator.stop().await?;
        Ok(Self(Verified {
            status: world.list().await?[0]["status"].clone(),
            ledger: world.ledgers().await?[0].clone(),
        }))
    }

    /// Numbers per second.
    pub async fn rate(&self, place: &Place<'_>, resources: u32) -> Result<f64> {
        let world = place.world("floor").await?;
        world.fill(&world.namespace, 0..resources).await?;
        let apis = &Apis::of(&world).await?;
        let started = Instant::now();
        stream::iter(0..resources)
            .map(|n| bare_requests(apis, n, &self.0))
            .buffer_unordered(64)
            .try_collect::<()>()
            .await?;
        let seconds = started.elapsed().as_secs_f64();
        let rate = f64::from(resources) / seconds;
        println!("{resources} times the bare requests in {seconds:.2} s: {rate:.0} per second");
        Ok(rate)
    }
}

/// Floor and operator in turns, on one control plane: a machine that gets slower or faster meanwhile
/// does so for both.
pub async fn beside_the_floor(place: &Place<'_>, resources: u32, pairs: u32) -> Result<()> {
    let floor = Floor::learn(place).await?;
    let mut percents = Vec::new();
    for _ in 0..pairs {
        let limit = floor.rate(place, resources).await?;
        percents.push(100.0 * throughput(place, resources).await? / limit);
    }
    percents.sort_by(f64::total_cmp);
    if let (Some(worst), Some(median)) = (percents.first(), percents.get(percents.len() / 2)) {
        println!("of the floor: median {median:.0} %, worst {worst:.0} %, all {percents:.0?}");
    }
    Ok(())
}
