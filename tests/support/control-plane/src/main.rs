//! `control-plane`: the command line of the library.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use control_plane::{ControlPlane, Error, Options, assets};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// A real kube-apiserver and etcd on loopback, for tests and for trying things.
///
/// The binaries are those in KUBEBUILDER_ASSETS, else they are built once with
/// Go into the user's cache directory ($XDG_CACHE_HOME, else ~/.cache).
#[derive(Parser)]
#[command(name = "control-plane")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run it in the foreground until SIGTERM or Ctrl-C.
    ///
    /// When it is ready, one JSON line is printed:
    /// {"url":…,"kubeconfig":…,"kubectl":…,"auditLog":…,"pids":{"etcd":…,"kubeApiserver":…}}.
    /// The kubeconfig is the administrator's. Logs and data are in the same
    /// directory; run in it again, it goes on with that data.
    Up {
        /// Directory for everything it writes; made if needed
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// One more flag for kube-apiserver, such as --apiserver-flag=--v=2; repeatable
        #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
        apiserver_flag: Vec<String>,
        /// One more flag for etcd; repeatable
        #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
        etcd_flag: Vec<String>,
    },
    /// Build the binaries if needed, and print the folder that holds them.
    Assets,
}

/// How often `up` checks that both processes are alive.
const WATCH: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Runtime::new()
        .map_err(|source| Error::Io {
            what: "start the runtime in",
            path: "this process".into(),
            source,
        })
        .and_then(|runtime| {
            let result = runtime.block_on(run(cli));
            // Does not wait for a build that goes on in a blocking thread.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Error> {
    match cli.command {
        Command::Up {
            dir,
            apiserver_flag,
            etcd_flag,
        } => {
            let options = Options {
                apiserver_flags: apiserver_flag,
                etcd_flags: etcd_flag,
                ..Options::default()
            };
            up(dir, options).await
        }
        Command::Assets => assets()
            .map_err(Error::from)
            .and_then(|assets| print(&assets.dir().display().to_string())),
    }
}

async fn up(dir: PathBuf, options: Options) -> Result<(), Error> {
    let listen = |kind| {
        signal(kind).map_err(|source| Error::Io {
            what: "watch signals in",
            path: "/".into(),
            source,
        })
    };
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        result = serve(dir, options) => result,
        () = stop => Ok(()),
    }
}

/// Ends only with an error.
async fn serve(dir: PathBuf, options: Options) -> Result<(), Error> {
    let control_plane = ControlPlane::start(&dir, options).await?;
    let line = serde_json::json!({
        "url": control_plane.url(),
        "kubeconfig": control_plane.admin_kubeconfig_path(),
        "kubectl": control_plane.kubectl_path(),
        "auditLog": control_plane.audit_log_path(),
        "pids": control_plane.pids(),
    });
    print(&line.to_string())?;
    loop {
        tokio::time::sleep(WATCH).await;
        control_plane.check_alive()?;
    }
}

fn print(line: &str) -> Result<(), Error> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|source| Error::Io {
            what: "write to",
            path: "standard output".into(),
            source,
        })
}
