//! `kubectl phmig`: hands in the one-time codes of PhoneMigrations, and shows how far a batch is.
//!
//! In the order of virtues: only the Secret holds a code; the reported outcome belongs to the code
//! just handed in; nothing is half written; then it is quick.
//!
//! | Module | Does | Kind |
//! |---|---|---|
//! | [`command`] | one module for each command | I/O |
//! | [`hand`] | the writes of a hand-in | I/O |
//! | [`cluster`] | every request to the API server | I/O |
//! | [`terminal`] | colours, frames, a line typed without echo | I/O |
//! | [`tracker`] | which outcome belongs to which hand-in | pure |
//! | [`overview`] | a batch in numbers, and as lines, CSV and JSON | pure |
//! | [`lines`] | lines of codes, and what each is for | pure |
//! | [`table`] | a table of numbers, and the files that come of it | pure |
//! | [`state`] | what a status says to a person | pure |
//! | [`owners`] | which tool writes a field | pure |
//! | [`digits`], [`text`], [`exit`], [`args`] | codes, texts, exit codes, the command line | pure |

pub mod args;
pub mod cluster;
pub mod command;
pub mod digits;
pub mod exit;
pub mod hand;
pub mod lines;
pub mod overview;
pub mod owners;
pub mod state;
pub mod table;
pub mod terminal;
pub mod text;
pub mod tracker;

use std::io::Write;
use std::process::ExitCode;

use exit::Exit;

/// The process.
pub fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(refused) => {
            let _ = match refused.is_answer {
                true => writeln!(std::io::stdout(), "{}", refused.text),
                false => writeln!(std::io::stderr(), "{}", refused.text),
            };
            return refused.exit.into();
        }
    };
    // Before any TLS client: rustls chooses no provider by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(command::run(cli));
            // The process does not wait for a thread that waits for input.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            Exit::Error
        }
    };
    exit.into()
}
