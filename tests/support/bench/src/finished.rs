//! The cost of finished resources for an operator that starts: memory, and the time until the
//! operator is ready and until it calls with a new resource's code.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use harness::cams_simulator::VERIFIED;
use harness::{Error, Migration, Operator, Result, World, crowd_name, crowd_phone};
use kube::api::{DynamicObject, PostParams};
use phone_migration_operator::domain::ledger::ledger_name;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Place;

/// How long an operator rests before its memory is read.
const REST: Duration = Duration::from_secs(20);
/// Objects that are made at a time.
const AT_A_TIME: usize = 16;
/// Numbers of the templates and of the new resource lie behind those of the crowd.
const TEMPLATE: u32 = 9_000_000;

/// The measured crowd.
pub struct Crowd {
    /// How many.
    pub resources: u32,
    /// Of ten, so many were refused; the others are verified.
    pub refused_of_ten: u32,
    /// KiB of annotations on each.
    pub annotation_kib: usize,
    /// Starts of an operator.
    pub runs: u32,
}

/// As an operator left it.
struct Template {
    status: Value,
    ledger: Value,
}

/// Makes a crowd as an operator would have left it, then starts operators on it.
pub async fn finished(place: &Place<'_>, crowd: &Crowd) -> Result<()> {
    let world = place.world("finished").await?;
    let verified = template(&world, TEMPLATE, true).await?;
    let refused = template(&world, TEMPLATE + 1, false).await?;
    let world = place.world("finished").await?;
    report(&world, 0, crowd.runs, "no resource").await?;
    let (world_ref, big) = (&world, "x".repeat(crowd.annotation_kib * 1024));
    let (verified, refused, big) = (&verified, &refused, &big);
    stream::iter(0..crowd.resources)
        .map(|n| async move {
            let of = match n % 10 < crowd.refused_of_ten {
                true => refused,
                false => verified,
            };
            make(world_ref, of, n, big).await
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    let what = format!(
        "{} finished, {} of ten refused, {} KiB of annotations each",
        crowd.resources, crowd.refused_of_ten, crowd.annotation_kib
    );
    report(&world, 100, crowd.runs, &what).await
}

/// One resource that an operator finished.
async fn template(world: &World, n: u32, right: bool) -> Result<Template> {
    let (name, phone) = (crowd_name(n), crowd_phone(n));
    let code = if right { "7300001" } else { "7300002" };
    world.number(&phone, "7300001", &format!("id-{phone}"));
    world.code(&name, code).await?;
    world.create(&Migration::new(&name, &phone)).await?;
    let mut operator = crate::operator(world, &[]).await?;
    let reason = if right { "Verified" } else { "CodeRejected" };
    let status = world.until_reason(&name, reason).await?;
    operator.stop().await?;
    let ledgers = world.ledgers().await?;
    let ours = |ledger: &&Value| ledger["spec"]["phoneNumber"] == phone.as_str();
    let ledger = ledgers.iter().find(ours);
    let ledger = ledger.ok_or_else(|| Error::new("template", "it has no ledger"))?;
    Ok(Template {
        status,
        ledger: ledger.clone(),
    })
}

/// The same of another number.
async fn make(world: &World, of: &Template, n: u32, big: &str) -> Result<()> {
    let (name, phone) = (crowd_name(n), crowd_phone(n));
    let object = json!({
        "apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
        "metadata": {"name": name, "annotations": {"example.com/big": big}},
        "spec": {
            "custSpaceId": "29348393884", "phoneNumber": phone,
            "verifyCodeSecretRef": {"name": format!("{name}-code")},
        },
    });
    let params = PostParams::default();
    let object: DynamicObject = serde_json::from_value(object).map_err(Error::at(&name))?;
    let created = world.migrations().create(&params, &object).await;
    let mut created = created.map_err(Error::at(&name))?;
    let uid = created.metadata.uid.clone().unwrap_or_default();
    // As long as the operator's names, and unique.
    let (id, print) = (format!("{n:032x}"), format!("00000000:{n:032x}"));
    let mut ledger = of.ledger.clone();
    ledger["metadata"] = json!({"name": ledger_name(&phone)});
    ledger["spec"]["phoneNumber"] = json!(phone);
    let entry = &mut ledger["entries"][0];
    (entry["attemptId"], entry["fingerprint"]) = (json!(id), json!(print));
    entry["migration"] = json!({
        "namespace": world.namespace, "name": name, "uid": uid, "generation": 1,
    });
    let ledger: DynamicObject = serde_json::from_value(ledger).map_err(Error::at(&name))?;
    let stored = world.ledger_api().create(&params, &ledger).await;
    stored.map_err(Error::at(&name))?;
    let mut status = of.status.clone();
    (
        status["attempt"]["id"],
        status["attempt"]["codeFingerprint"],
    ) = (json!(id), json!(print));
    if let Some(spent) = status["history"].as_array_mut().and_then(|h| h.first_mut()) {
        (spent["attemptId"], spent["codeFingerprint"]) = (json!(id), json!(print));
    }
    created.data["status"] = status;
    let shown = world
        .migrations()
        .replace_status(&name, &params, &created)
        .await;
    shown.map(|_| ()).map_err(Error::at(&name))
}

/// Starts operators one after the other, and prints the figures of each.
async fn report(world: &World, first: u32, runs: u32, what: &str) -> Result<()> {
    for run in 0..runs {
        let began = Instant::now();
        let mut launch = world.launch(&[])?;
        launch.env.retain(|(name, _)| name != "RUST_LOG");
        let mut operator = Operator::spawn(&launch)?;
        operator.ready().await?;
        let ready = began.elapsed().as_secs_f64();
        let called = call(world, TEMPLATE + first + run)
            .await?
            .elapsed()
            .as_secs_f64();
        let called = began.elapsed().as_secs_f64() - called;
        tokio::time::sleep(REST).await;
        let rest = operator.resident_kib().unwrap_or_default();
        let most = operator.most_resident_kib().unwrap_or_default();
        println!(
            "{what}: ready after {ready:.2} s, new resource called after {called:.2} s from the \
             start; resident at rest {rest} KiB, at most {most} KiB"
        );
        operator.stop().await?;
    }
    Ok(())
}

/// Makes a new resource, and waits for its call.
async fn call(world: &World, n: u32) -> Result<Instant> {
    let (name, phone) = (crowd_name(n), crowd_phone(n));
    world.number(&phone, "7300001", &format!("id-{phone}"));
    world.ready_migration(&name, &phone, "7300001").await?;
    let ours = |e: &harness::cams_simulator::Entry| {
        e.action == VERIFIED && e.phone.as_deref() == Some(&phone)
    };
    while !world.sim.ledger().iter().any(ours) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let called = Instant::now();
    world.until_reason(&name, "Verified").await?;
    Ok(called)
}
