//! The cost of an error of the whole account whose Code is in no list.

use std::time::Duration;

use harness::cams_simulator::{Entry, Fault, FaultRule, Refusal, Stage, VERIFIED};
use harness::{Error, Result, World};
use tokio::time::Instant;

use crate::{Place, operator};

/// Codes that are in no list, as a gateway or the service behind it might answer them.
pub const CODES: [&str; 5] = [
    "Account.Frozen",
    "isv.OUT_OF_SERVICE",
    "InvalidParameter",
    "Authentication.NoAuth",
    "136025",
];

/// One figure: right codes, and an account for which every submission is refused for some seconds.
pub struct Plan {
    /// Right codes, all in one namespace and of one custSpaceId.
    pub resources: u32,
    /// How long every submission is refused, in seconds.
    pub seconds: u64,
    /// The round trip, in milliseconds.
    pub round_trip_ms: u64,
}

/// Prints the figures for one Code.
pub async fn brake(place: &Place<'_>, plan: &Plan, code: &str) -> Result<()> {
    let world = place.world("brake").await?;
    world.sim.set_processing(plan.round_trip_ms);
    let refusal = Refusal::new(400, code, "The request cannot be served.");
    let delay = Fault::delay(Stage::Received, plan.round_trip_ms);
    let rules = [delay, Fault::api(Stage::Received, refusal)];
    let mut phase = Vec::new();
    for fault in rules {
        let rule = FaultRule::new(fault).action(VERIFIED);
        let id = world.sim.add_fault(rule).map_err(Error::at("fault"))?;
        phase.push(id);
    }
    world.fill(&world.namespace, 0..plan.resources).await?;
    let mut operator = operator(&world, &[]).await?;
    let is_submission = |entry: &Entry| entry.action == VERIFIED;
    let patience = Duration::from_secs(30);
    let first = world.sim.wait_entry(patience, is_submission).await;
    first.ok_or_else(|| Error::new("brake", "no submission came"))?;
    tokio::time::sleep(Duration::from_secs(plan.seconds)).await;
    for id in phase {
        world.sim.remove_fault(id);
    }
    let ended = Instant::now();
    let spent = until_settled(&world, plan).await?;
    println!(
        "{code}: {spent} of {} codes spent in {} s at a round trip of {} ms; the others Verified {:.1} s \
         after the end",
        plan.resources,
        plan.seconds,
        plan.round_trip_ms,
        ended.elapsed().as_secs_f64()
    );
    world.finish().await?;
    operator.stop().await.map(|_| ())
}

/// Waits until each resource is refused or Verified. Returns how many are refused.
async fn until_settled(world: &World, plan: &Plan) -> Result<usize> {
    let all = usize::try_from(plan.resources).unwrap_or(usize::MAX);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let counts = world.by_reason().await?;
        let of = |reason: &str| counts.get(reason).copied().unwrap_or_default();
        let spent = of("CodeRejected") + of("RequestRejected");
        if spent + of("Verified") == all {
            return Ok(spent);
        }
        if Instant::now() > deadline {
            return Err(Error::new("not all settled", format!("{counts:?}")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
