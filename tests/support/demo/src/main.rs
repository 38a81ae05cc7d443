//! `cargo demo`: the main job for a newcomer, on parts that are real but for the cloud. The
//! launcher has built all programs before.
//!
//! Ends with 0 if every promise was kept, 1 if one was broken or a part could not start, 130 when
//! interrupted. Leaves no process and no folder behind, however it is asked to end; only a SIGKILL
//! of the demo itself leaves its temporary folders and the operator.

mod board;
mod cast;
mod keep;
mod play;
mod report;
mod screen;
mod setup;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use harness::{Error, Result};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::board::Board;
use crate::setup::Setup;

/// The arguments, as the launcher passes them on; the launcher documents them.
#[derive(Parser)]
struct Cli {
    #[arg(long)]
    keep: bool,
    #[arg(long)]
    record: Option<PathBuf>,
}

const INTRODUCTION: &str = "\
A morning of moving WhatsApp phone numbers to Alibaba Cloud, on this machine: a real Kubernetes API
server, the operator as it is shipped, and a simulated cloud that writes down every call it gets.
Each number has a one-time code that may be submitted only once. On the way a code is wrong, a Secret
is late, a reply gets lost, the cloud throttles, and the operator is killed in the middle of a call.
";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(demo(&cli));
            // Does not wait for a build that goes on in a blocking thread.
            runtime.shutdown_background();
            code
        }
        Err(error) => Err(Error::new("runtime", error)),
    };
    code.unwrap_or_else(|error| {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "error: {error}");
        ExitCode::FAILURE
    })
}

async fn demo(cli: &Cli) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let board = Board::new();
    board.tell(INTRODUCTION);
    let dir = TempDir::with_prefix("phone-migration-demo-").map_err(Error::at("folder"))?;
    let Some(setup) = stop.or(Setup::bring_up(&board, dir.path())).await else {
        return Ok(interrupted(&board));
    };
    let mut setup = setup?;
    let ended = morning(cli, &mut setup, &board, &mut stop).await;
    board.finish();
    setup.take_down().await;
    dir.close().map_err(Error::at("temporary folder"))?;
    Ok(match ended? {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => interrupted(&board),
    })
}

/// Whether every promise was kept; `None` if it was interrupted before that was known.
async fn morning(
    cli: &Cli,
    setup: &mut Setup,
    board: &Board,
    stop: &mut Stop,
) -> Result<Option<bool>> {
    let watched = setup.world.migrations_everywhere();
    let kept = stop
        .or(async {
            let played = tokio::select! {
                played = play::play(setup, board) => played,
                () = board.follow(watched) => Err(Error::new("watch", "ended by itself")),
            };
            report::report(setup, board, played).await
        })
        .await
        .transpose()?;
    if let (Some(file), Some(true)) = (&cli.record, kept) {
        std::fs::write(file, board.recording()).map_err(Error::at("recording"))?;
    }
    if cli.keep && kept.is_some() {
        keep::say_how_to_look_around(setup, board)?;
        stop.requested().await;
    }
    Ok(kept)
}

fn interrupted(board: &Board) -> ExitCode {
    board.finish();
    board.print("Interrupted.");
    ExitCode::from(130)
}

/// The signals that end the demo: Ctrl-C, SIGTERM, a terminal that is closed.
struct Stop([Signal; 3]);

impl Stop {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(Error::at("signals"));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn requested(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// The work's result; `None` if a signal ended the work before.
    async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.requested() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
