//! After the faults: waits until nothing changes any more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::tenants::Tenants;

const POLL: Duration = Duration::from_secs(3);
/// How often an unsettled resource is asked to reconcile: polls of Secrets grow to a minute.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// Nothing may change for this long.
const QUIET: Duration = Duration::from_secs(12);
const AT_ONCE: usize = 16;

/// Waits; returns how long it took. If no resource has settled for `patience`, every unsettled one
/// is a problem.
pub async fn settle(tenants: &Tenants, patience: Duration) -> Duration {
    let events = &tenants.cluster.events;
    let started = Instant::now();
    let mut asked: Option<Instant> = None;
    let mut before = BTreeMap::new();
    let mut quiet_since = Instant::now();
    let (mut fewest, mut progress) = (usize::MAX, Instant::now());
    loop {
        let Some(objects) = tenants.cluster.list("").await else {
            return started.elapsed();
        };
        let unsettled = unsettled(tenants, &objects).await;
        let versions = versions(&objects);
        if versions != before || !unsettled.is_empty() {
            quiet_since = Instant::now();
        }
        before = versions;
        if quiet_since.elapsed() >= QUIET {
            return started.elapsed();
        }
        if unsettled.len() < fewest {
            (fewest, progress) = (unsettled.len(), Instant::now());
        }
        if progress.elapsed() > patience {
            for (object, why) in &unsettled {
                let name = &object["metadata"]["name"];
                let what = format!("{name} did not settle ({why}): {}", object["status"]);
                events.problem(what);
            }
            return started.elapsed();
        }
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) && !unsettled.is_empty() {
            events.note("settling", json!({"unsettled": counts(&unsettled)}));
            asked = Some(Instant::now());
            ask(tenants, &unsettled).await;
        }
        tenants.correct(true).await;
        sleep(POLL).await;
    }
}

/// Asks the resources that wait for their next requeue; a queued one gets its turn without asking.
async fn ask(tenants: &Tenants, unsettled: &[(Value, String)]) {
    let waits = |why: &str| !matches!(why, "" | "Queued" | "Throttled");
    let waiting = unsettled.iter().filter(|(_, why)| waits(why));
    let ask = stream::iter(waiting).map(|(object, _)| async move {
        if let Some(subject) = tenants.subject(object) {
            tenants.request(&mut *subject.lock().await).await;
        }
    });
    ask.buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn unsettled(tenants: &Tenants, objects: &[Value]) -> Vec<(Value, String)> {
    let mut found = Vec::new();
    for object in objects {
        let Some(subject) = tenants.subject(object) else {
            continue;
        };
        if let Some(why) = subject.lock().await.unsettled(object) {
            found.push((object.clone(), why));
        }
    }
    found
}

fn counts(unsettled: &[(Value, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (_, why) in unsettled {
        *counts.entry(why.as_str()).or_insert(0) += 1;
    }
    counts
}

fn versions(objects: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = objects.iter().map(|object| &object["metadata"]);
    meta.map(|meta| (text(&meta["uid"]), text(&meta["resourceVersion"])))
        .collect()
}
