//! The commands, and the code that they share.

use std::time::{Duration, Instant};

use phone_migration_api::crd::PhoneMigration;

use crate::args::{Cli, Command, Connection, HandInArgs};
use crate::cluster::feed::{Feed, News};
use crate::cluster::{Access, ApiError, Cluster, Key, Scope};
use crate::exit::{Exit, Failure};
use crate::hand::{Expiry, new_request};
use crate::terminal::{Console, Interrupt, Tone};
use crate::tracker::{Ending, Tracker};

mod code;
mod codes;
mod completion;
mod explain;
mod generate;
mod next;
mod retry;
mod status;

/// After so long without an answer, the operator is probably not running.
const SILENT: Duration = Duration::from_secs(10);
/// Time between two checks of the clock.
const TICK: Duration = Duration::from_millis(250);

/// Runs the command.
pub async fn run(cli: Cli) -> Exit {
    let console = Console::new();
    let done = match cli.command {
        Command::Code(args) if args.next => next::run(&cli.connection, &args, &console).await,
        Command::Code(args) => code::run(&cli.connection, &args, &console).await,
        Command::Codes(args) => codes::run(&cli.connection, &args, &console).await,
        Command::Status(args) => status::run(&cli.connection, &args, &console).await,
        Command::Generate(args) => generate::run(&args, &console),
        Command::Explain(args) => explain::run(&cli.connection, &args, &console).await,
        Command::Retry(args) => retry::run(&cli.connection, &args, &console).await,
        Command::Completion { shell } => completion::run(shell),
    };
    match done {
        Ok(exit) => exit,
        Err(Failure { exit, message }) => {
            let head = match exit {
                Exit::Done => "",
                _ => "error: ",
            };
            console.note(&format!("{head}{message}"));
            exit
        }
    }
}

/// The cluster and the chosen namespace.
async fn connect(connection: &Connection) -> Result<(Cluster, String), Failure> {
    let access = Access {
        kubeconfig: connection.kubeconfig.clone(),
        context: connection.context.clone(),
    };
    let cluster = Cluster::connect(&access).await?;
    let namespace = connection.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| cluster.default_namespace.clone());
    Ok((cluster, namespace))
}

fn scope(namespace: &str, all: bool, selector: Option<&String>) -> Scope {
    Scope {
        namespace: (!all).then(|| namespace.to_owned()),
        selector: selector.cloned(),
        name: None,
    }
}

async fn get(cluster: &Cluster, key: &Key) -> Result<PhoneMigration, Failure> {
    let got = cluster.get(key).await;
    got.map_err(|error| error.while_(&format!("PhoneMigration {key}")))
}

fn expiry(args: &HandInArgs) -> Expiry {
    match args.no_expiry {
        true => Expiry::Never,
        false => Expiry::In(args.ttl),
    }
}

/// The state of a wait for outcomes.
struct Wait {
    cluster: Cluster,
    feed: Feed,
    tracker: Tracker,
    began: Instant,
    /// When the watch last reported a change: an operator that works through a queue makes some.
    last_change: Instant,
    warned: bool,
}

impl Wait {
    /// Watches from now on.
    fn on(cluster: &Cluster, scope: &Scope) -> Self {
        Self {
            cluster: cluster.clone(),
            feed: Feed::of(cluster, scope),
            tracker: Tracker::default(),
            began: Instant::now(),
            last_change: Instant::now(),
            warned: false,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Reads the watch's news for a moment.
    async fn step(&mut self) -> Result<Vec<Ending>, Failure> {
        if let Ok(news) = tokio::time::timeout(TICK, self.feed.next()).await {
            self.last_change = Instant::now();
            take(&mut self.tracker, news)?;
        }
        Ok(self.tracker.ended(self.began.elapsed()))
    }

    /// Asks the operator again about hand-ins whose state did not change.
    async fn ask_again(&mut self) {
        for key in self.tracker.to_ask_again(self.began.elapsed()) {
            let request = new_request();
            // If it fails, the next round tries again.
            if self.cluster.request_look(&key, &request).await.is_ok() {
                self.tracker.asked_again(&key, request);
            }
        }
    }

    /// Prints one line, once, if the operator has not answered a hand-in for a while.
    fn silence(&mut self) -> Option<String> {
        let unanswered = self.tracker.unanswered(self.began.elapsed(), SILENT);
        let silent = !self.warned && self.last_change.elapsed() >= SILENT;
        let first = unanswered.first().filter(|_| silent)?;
        let line = format!(
            "The operator has not looked at {first} for {} s: is it running? (kubectl phmig explain {} \
             -n {}) Still waiting …",
            SILENT.as_secs(),
            first.name,
            first.namespace
        );
        self.warned = true;
        Some(line)
    }

    /// Waits until every hand-in has ended, the time is up, or the user interrupts. Reports each
    /// ending as it comes.
    async fn finish(
        &mut self,
        timeout: Duration,
        interrupt: &mut Interrupt,
        console: &Console,
        mut tell: impl FnMut(&Ending),
    ) -> Result<Exit, Failure> {
        let deadline = Instant::now() + timeout;
        let mut exit = Exit::Done;
        while self.tracker.open() > 0 {
            let endings = tokio::select! {
                endings = self.step() => endings?,
                () = interrupt.wait() => return Ok(Exit::Interrupted),
            };
            for ending in &endings {
                tell(ending);
                exit = exit.or_worse(ending.exit);
            }
            if let Some(line) = self.silence() {
                console.note(&line);
            }
            self.ask_again().await;
            if Instant::now() >= deadline {
                let now = self.began.elapsed();
                for ending in self.tracker.give_up(now) {
                    tell(&ending);
                    exit = exit.or_worse(ending.exit);
                }
            }
        }
        Ok(exit)
    }
}

fn take(tracker: &mut Tracker, news: News) -> Result<(), Failure> {
    match news {
        News::Changed(object) => tracker.see(*object),
        News::Gone(key) => tracker.gone(&key),
        News::Complete => {}
        // The watch reconnects by itself, unless a right is missing.
        News::Trouble(error @ (ApiError::Forbidden(_) | ApiError::Unauthorized)) => {
            return Err(error.while_("watching PhoneMigrations"));
        }
        News::Trouble(_) => {}
    }
    Ok(())
}

/// An ending as one line, with the remedy on further lines.
fn ending_lines(ending: &Ending, console: &Console) -> Vec<String> {
    let tone = match ending.exit {
        Exit::Done => Tone::Good,
        Exit::Refused | Exit::Person | Exit::Account => Tone::Bad,
        Exit::Unknown | Exit::Timeout | Exit::Error | Exit::Interrupted => Tone::Warning,
    };
    let name = &ending.key.name;
    let word = console.paint(tone, &ending.reason);
    let seconds = ending.took.as_secs_f64();
    if ending.exit == Exit::Done {
        let id = ending.id.as_deref().unwrap_or("its Id is being read");
        return vec![format!("{name}  {word}  {id}  ({seconds:.1} s)")];
    }
    let code = ending.error_code.as_deref();
    let code = code.map_or_else(String::new, |code| format!("  {code}"));
    let mut lines = vec![format!("{name}  {word}{code}  ({seconds:.1} s)")];
    if !ending.message.is_empty() {
        lines.push(format!("  {}", ending.message));
    }
    if !ending.advice.is_empty() {
        lines.push(format!("  Do: {}", ending.advice));
    }
    lines
}
