//! `completion`.

use clap_complete::{Shell, generate};

use crate::args::command_line;
use crate::exit::{Exit, Failure};

/// Prints the script.
#[allow(clippy::unnecessary_wraps)] // as all commands
pub fn run(shell: Shell) -> Result<Exit, Failure> {
    let name = "kubectl-phmig";
    let mut command = command_line().bin_name(name);
    generate(shell, &mut command, name, &mut std::io::stdout());
    Ok(Exit::Done)
}
