//! The morning, scene by scene. Each scene ends when the API server, or the ledger of the simulated
//! cloud, shows the expected result.

use std::time::Duration;

use harness::cams_simulator::{
    Decision, Fault, FaultRule, Number, Refusal, Release, Stage, VERIFIED,
};
use harness::{Error, Result};

use crate::board::Board;
use crate::cast::{Part, Role, cast};
use crate::screen::Row;
use crate::setup::Setup;

/// How long a scene may take on a busy machine; each takes a few seconds on an idle one.
const PATIENCE: Duration = Duration::from_secs(60);
/// Length of the spell of throttling.
const SPELL_MS: u64 = 4_000;
/// The cloud's Retry-After during it.
const RETRY_AFTER_MS: u64 = 3_000;
/// A code that no number has.
const WRONG_CODE: &str = "000000";

/// Plays all scenes.
pub async fn play(setup: &mut Setup, board: &Board) -> Result<()> {
    for role in cast() {
        let number = Number::new(&role.phone, &role.code, &role.id);
        setup.world.sim.add_number(match role.part {
            Part::AlreadyVerified => number.verified(),
            Part::RightCode
            | Part::Throttled
            | Part::WrongCode
            | Part::LateSecret
            | Part::LostReply
            | Part::Killed => number,
        });
    }
    first_dozen(setup, board).await?;
    corrections(setup, board).await?;
    lost_reply(setup, board).await?;
    throttling(setup, board).await?;
    killed(setup, board).await
}

async fn first_dozen(setup: &Setup, board: &Board) -> Result<()> {
    board.say(
        "Scene 1: twelve numbers: nine right codes, one verified before, one wrong code, one without Secret",
    );
    let (right, done) = (those(Part::RightCode), those(Part::AlreadyVerified));
    for role in right.iter().chain(&done) {
        setup.ready_migration(role).await?;
    }
    let (wrong, late) = (those(Part::WrongCode), those(Part::LateSecret));
    for role in &wrong {
        setup.code(role, WRONG_CODE).await?;
        setup.migration(role).await?;
    }
    for role in &late {
        setup.migration(role).await?;
    }
    until(board, &right, verified).await?;
    until(board, &done, verified).await?;
    until(board, &wrong, |row| row.reason == "CodeRejected").await?;
    until(board, &late, |row| row.reason == "SecretNotFound").await
}

async fn corrections(setup: &Setup, board: &Board) -> Result<()> {
    board.say(
        "Scene 2: the right code replaces the wrong one, and the late Secret arrives (found by polling)",
    );
    let (wrong, late) = (those(Part::WrongCode), those(Part::LateSecret));
    for role in &wrong {
        setup.replace_code(role, &role.code).await?;
        setup.request(role).await?;
    }
    for role in &late {
        setup.code(role, &role.code).await?;
    }
    until(board, &wrong, verified).await?;
    until(board, &late, verified).await
}

async fn lost_reply(setup: &Setup, board: &Board) -> Result<()> {
    board.say(
        "Scene 3: the cloud executes a call, its reply is lost; nothing is sent again, the status is read after 5 s",
    );
    let roles = those(Part::LostReply);
    for role in &roles {
        fault(setup, Fault::close(Stage::Executed), Some(role))?;
        setup.ready_migration(role).await?;
    }
    until(board, &roles, |row| {
        row.had.iter().any(|reason| reason == "OutcomeUnknown")
    })
    .await?;
    until(board, &roles, verified).await
}

async fn throttling(setup: &Setup, board: &Board) -> Result<()> {
    board.say(
        "Scene 4: the cloud throttles submissions for 4 s; the operator pauses the account, then probes with one",
    );
    let roles = those(Part::Throttled);
    let code = "Throttling.User";
    let refusal = Refusal::new(400, code, "Request was denied due to user flow control.")
        .retry_after_ms(RETRY_AFTER_MS);
    let ms = SPELL_MS;
    fault(setup, Fault::Throttle { ms, refusal }, None)?;
    for role in &roles {
        setup.ready_migration(role).await?;
    }
    until(board, &roles, verified).await?;
    let ledger = setup.world.sim.ledger();
    match ledger.iter().any(|e| e.decision == Decision::Throttled) {
        true => Ok(()),
        false => Err(Error::new("scene 4", "nothing was throttled")),
    }
}

async fn killed(setup: &mut Setup, board: &Board) -> Result<()> {
    board.say(
        "Scene 5: a call is executed, and the operator is killed before the reply leaves the cloud",
    );
    for role in those(Part::Killed) {
        let gate = Fault::gate(Stage::Executed);
        fault(setup, gate, Some(&role))?;
        setup.ready_migration(&role).await?;
        let its = |held: &harness::cams_simulator::Held| held.phone.as_ref() == Some(&role.phone);
        let held = setup.world.sim.wait_held_where(PATIENCE, its).await;
        let held = held.ok_or_else(|| Error::new("scene 5", "no call reached the cloud"))?;
        setup.operator.kill().await?;
        setup.world.sim.release(held.id, Release::Close);
        board.say("         Executed, and the operator got SIGKILL: the reply has nobody to go to");
        setup.restart_operator().await?;
        board.say(
            "         Restarted: it finds the open attempt in the number's ledger, sends nothing, and reads the status after 5 s",
        );
        until(board, &[role], verified).await?;
    }
    Ok(())
}

fn those(part: Part) -> Vec<Role> {
    cast().into_iter().filter(|r| r.part == part).collect()
}

/// For one submission of one number, or for all submissions.
fn fault(setup: &Setup, fault: Fault, role: Option<&Role>) -> Result<()> {
    let rule = FaultRule::new(fault).action(VERIFIED);
    let rule = match role {
        Some(role) => rule.phone(&role.phone).once(),
        None => rule,
    };
    let added = setup.world.sim.add_fault(rule);
    added.map(|_| ()).map_err(Error::at("fault"))
}

fn verified(row: &Row) -> bool {
    row.reason == "Verified" && !row.id.is_empty()
}

async fn until(board: &Board, roles: &[Role], holds: impl Fn(&Row) -> bool) -> Result<()> {
    let waited = board.until(roles, PATIENCE, holds).await;
    waited.map_err(|late| {
        let seconds = PATIENCE.as_secs();
        Error::new(format!("not where it should be within {seconds} s"), late)
    })
}
