//! After the play: the final table, the ledger, the verdict.

use harness::{Error, Result, reason};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::board::Board;
use crate::cast::{Part, cast};
use crate::setup::Setup;
use crate::verdict::{Ending, Violation, ledger_line, violations};

/// Prints all of it; true if every promise was kept. `played` is how the play ended.
///
/// # Errors
/// When the API server cannot be read any more.
pub async fn report(setup: &Setup, board: &Board, played: Result<()>) -> Result<bool> {
    let endings = endings(setup).await?;
    let table = setup
        .world
        .plane
        .control
        .kubectl_ok(["get", "phmig", "-A", "-o", "wide"])
        .await
        .map_err(Error::at("kubectl get"))?;
    let limit = u64::from(setup.world.sim.settings().quota.limit);
    let ledger = setup.world.sim.ledger();
    let found = violations(&endings, &ledger);
    board.finish();
    board.print(&format!("\n$ kubectl get phmig -A -o wide\n{table}"));
    board.tell(&format!("{}\n", ledger_line(&ledger, limit)));
    let kept = played.is_ok() && found.is_empty();
    if let Err(error) = played {
        board.print(&format!("The play stopped: {error}"));
    }
    board.tell(&verdict_text(&found, kept, endings.len(), board.seconds()));
    if !kept {
        board.print(&format!(
            "\nEnd of the operator's log:\n{}",
            log_tail(setup)
        ));
    }
    Ok(kept)
}

fn verdict_text(found: &[Violation], kept: bool, numbers: usize, seconds: f64) -> String {
    if kept {
        return format!(
            "Verdict: good. {numbers} numbers, no code executed twice, no outcome lost, the quota \
             kept; {seconds:.0} s in all."
        );
    }
    let mut lines = vec!["Verdict: NOT good.".to_owned()];
    lines.extend(found.iter().map(|violation| format!("  - {violation}")));
    lines.join("\n")
}

async fn endings(setup: &Setup) -> Result<Vec<Ending>> {
    let objects = setup
        .world
        .migrations_everywhere()
        .list(&ListParams::default())
        .await
        .map_err(Error::at("list of PhoneMigrations"))?;
    let ending = |role: crate::cast::Role| {
        let status = objects
            .iter()
            .find(|o| o.name_any() == role.name && o.namespace().as_deref() == Some(role.namespace))
            .map(|object| object.data["status"].clone())
            .unwrap_or_default();
        Ending {
            name: role.full_name(),
            phone: role.phone,
            expected_id: role.id,
            verified_before: role.part == Part::AlreadyVerified,
            reason: reason(&status).to_owned(),
            id: status["id"].as_str().unwrap_or_default().to_owned(),
        }
    };
    Ok(cast().into_iter().map(ending).collect())
}

fn log_tail(setup: &Setup) -> String {
    let log = setup.operator.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
