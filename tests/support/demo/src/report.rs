//! After the play: the final table, the ledger, the verdict.

use harness::{Error, Result};

use crate::board::Board;
use crate::cast::cast;
use crate::setup::Setup;
use crate::verdict::{ledger_line, violations};

/// Prints all of it; true if every promise was kept. `played` is how the play ended.
pub async fn report(setup: &Setup, board: &Board, played: Result<()>) -> Result<bool> {
    let world = &setup.world;
    let objects = world.list_everywhere().await?;
    let table = world
        .plane
        .control
        .kubectl_ok(["get", "phmig", "-A", "-o", "wide"])
        .await
        .map_err(Error::at("kubectl get"))?;
    let limit = u64::from(world.sim.settings().quota.limit);
    let ledger = world.sim.ledger();
    let found = violations(&cast(), &objects, &ledger, &world.sim.numbers());
    board.finish();
    board.print(&format!("\n$ kubectl get phmig -A -o wide\n{table}"));
    board.tell(&format!("{}\n", ledger_line(&ledger, limit)));
    let kept = played.is_ok() && found.is_empty();
    if let Err(error) = played {
        board.print(&format!("The play stopped: {error}"));
    }
    board.tell(&verdict_text(&found, kept, cast().len(), board.seconds()));
    if !kept {
        board.print(&format!(
            "\nEnd of the operator's log:\n{}",
            log_tail(setup)
        ));
    }
    Ok(kept)
}

fn verdict_text(found: &[String], kept: bool, numbers: usize, seconds: f64) -> String {
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

fn log_tail(setup: &Setup) -> String {
    let log = setup.operator.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
