//! Waits until nothing changes any more.

use tokio::time::sleep;

use super::deeds::name;
use super::model::{Model, NUMBERS};
use super::*;

/// Longest time to come to rest.
pub const REST: Duration = Duration::from_secs(40);
/// Between two requests to reconcile: Secrets are polled ever more slowly.
const NUDGE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(50);

/// Waits until every resource is at rest.
pub async fn come_to_rest(world: &World, model: &Model, token: u32) -> Result<(), String> {
    let deadline = Instant::now() + REST;
    let mut nudged: Option<Instant> = None;
    let mut nudges = 0;
    loop {
        world.sim.release_all(Release::Continue);
        if nudged.is_none_or(|at| at.elapsed() > NUDGE) {
            nudges += 1;
            nudged = Some(Instant::now());
            for n in (0..NUMBERS).filter(|n| model.numbers[*n].exists) {
                world
                    .request(&name(n), &format!("{token}.{nudges}"))
                    .await
                    .map_err(|e| e.to_string())?;
            }
        }
        let unrest = first_unrest(world, model).await;
        match unrest {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => return Err(why),
            Err(_) => sleep(POLL).await,
        }
    }
}

async fn first_unrest(world: &World, model: &Model) -> Result<(), String> {
    for n in (0..NUMBERS).filter(|n| model.numbers[*n].exists) {
        let object = world.get(&name(n)).await.map_err(|e| e.to_string())?;
        // Read after the status, so that every call in it must be here.
        let ledger = world.sim.ledger();
        rules::always(model, &ledger).unwrap_or_else(|why| panic!("{why}"));
        rules::at_rest(model, n, &ledger, &object.data["status"])?;
    }
    Ok(())
}
