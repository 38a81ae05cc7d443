//! `codes -f FILE`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{Wait, connect, expiry, scope};
use crate::args::{CodesArgs, Connection, HandInArgs};
use crate::cluster::{Cluster, Key, Scope};
use crate::exit::{Exit, Failure};
use crate::hand::hand_in;
use crate::lines::{Job, Kind, Skipped, parse, plan};
use crate::terminal::{Console, Interrupt, Tone};
use crate::text::{columns, counted, cut};
use crate::tracker::{Ending, HandIn};

/// Hand-ins that run at the same time; each makes three requests.
const AT_A_TIME: usize = 8;
/// Most bytes of the file.
const LARGEST: u64 = 4 << 20;

/// The results of the lines.
#[derive(Default)]
struct Tally {
    lines: usize,
    handed_in: usize,
    not_begun: usize,
    failed: usize,
    skipped: BTreeMap<Kind, usize>,
    ended: BTreeMap<u8, usize>,
    exit: Option<Exit>,
}

/// Hands in many codes.
pub async fn run(
    connection: &Connection,
    args: &CodesArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen();
    let text = tokio::select! {
        text = read(&args.filename) => text?,
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    if let Some(warning) = readable_by_others(&args.filename) {
        console.note(&warning);
    }
    let (lines, unusable) = parse(&text, args.hand_in.code_digits);
    drop(text);
    let mut tally = Tally {
        lines: lines.len() + unusable.len(),
        ..Tally::default()
    };
    let (cluster, namespace) = connect(connection).await?;
    let scope = scope(&namespace, args.all_namespaces, None);
    let listed = cluster.list(&scope).await;
    let listed = listed.map_err(|error| error.while_("listing PhoneMigrations"))?;
    let (jobs, mut skipped) = plan(lines, &listed.objects, Timestamp::now());
    skipped.extend(unusable);
    skipped.sort_by_key(|no| no.line);
    for no in &skipped {
        tally.skip(no, console);
    }
    let mut desk = Desk {
        cluster: &cluster,
        args: &args.hand_in,
        console,
        tally,
    };
    if args.wait {
        desk.with_outcomes(jobs, &scope, &mut interrupt).await?;
    } else {
        desk.without_outcomes(jobs, &interrupt).await;
    }
    console.out("");
    console.out(&desk.tally.summary());
    let exit = desk.tally.exit.unwrap_or(Exit::Done);
    match interrupt.is_set() {
        true => Ok(Exit::Interrupted),
        false => Ok(exit),
    }
}

struct Desk<'a> {
    cluster: &'a Cluster,
    args: &'a HandInArgs,
    console: &'a Console,
    tally: Tally,
}

/// Hands in one job; `None` if the user interrupted before it began.
type Done = (Job, Option<Result<HandIn, Failure>>);

impl Desk<'_> {
    async fn without_outcomes(&mut self, jobs: Vec<Job>, interrupt: &Interrupt) {
        let (cluster, args) = (self.cluster, self.args);
        let work = jobs
            .into_iter()
            .map(|job| one(cluster, args, job, interrupt));
        let mut work = stream::iter(work).buffer_unordered(AT_A_TIME);
        while let Some((job, done)) = work.next().await {
            if let Some(Ok(_)) = &done {
                let name = Key::of(&job.object).name;
                self.console.out(&format!("{name}  handed in"));
            }
            self.tally.done(&job, done.as_ref(), self.console);
        }
    }

    async fn with_outcomes(
        &mut self,
        jobs: Vec<Job>,
        scope: &Scope,
        interrupt: &mut Interrupt,
    ) -> Result<(), Failure> {
        let mut wait = Wait::on(self.cluster, scope);
        for job in &jobs {
            wait.tracker.begin(&job.object);
        }
        let numbers: BTreeMap<Key, String> = jobs
            .iter()
            .map(|job| {
                (
                    Key::of(&job.object),
                    crate::text::masked(&job.object.spec.phone_number),
                )
            })
            .collect();
        let (cluster, args, asked) = (self.cluster, self.args, interrupt.clone());
        let work = jobs.into_iter().map(|job| one(cluster, args, job, &asked));
        let mut work = stream::iter(work).buffer_unordered(AT_A_TIME);
        loop {
            let began = wait.now();
            tokio::select! {
                done = work.next() => {
                    let Some((job, done)) = done else { break };
                    self.tally.done(&job, done.as_ref(), self.console);
                    if let Some(Ok(handed)) = done {
                        wait.tracker.add(&job.object, handed, began);
                    }
                }
                endings = wait.step() => {
                    for ending in endings? {
                        self.tally.end(&ending, &numbers, self.console);
                    }
                }
            }
        }
        let (tally, console) = (&mut self.tally, self.console);
        let tell = |ending: &Ending| tally.end(ending, &numbers, console);
        wait.finish(args.timeout, interrupt, console, tell).await?;
        Ok(())
    }
}

async fn one(cluster: &Cluster, args: &HandInArgs, job: Job, interrupt: &Interrupt) -> Done {
    if interrupt.is_set() {
        return (job, None);
    }
    let own = job.expires_at;
    let expires_at = own.or_else(|| expiry(args).after(Timestamp::now()));
    let done = hand_in(cluster, &job.object, &job.digits, expires_at, args.force).await;
    (job, Some(done))
}

impl Tally {
    fn count(&mut self, exit: Exit) {
        self.exit = Some(self.exit.map_or(exit, |before| before.or_worse(exit)));
    }

    fn skip(&mut self, no: &Skipped, console: &Console) {
        let target = match no.target.is_empty() {
            true => String::new(),
            false => format!(" {}:", no.target),
        };
        console.out(&format!("line {}:{target} {}: skipped", no.line, no.why));
        *self.skipped.entry(no.kind).or_default() += 1;
        self.count(no.kind.exit());
    }

    fn done(&mut self, job: &Job, done: Option<&Result<HandIn, Failure>>, console: &Console) {
        match done {
            None => self.not_begun += 1,
            Some(Ok(_)) => self.handed_in += 1,
            Some(Err(failure)) => {
                let name = Key::of(&job.object).name;
                console.out(&format!(
                    "line {}: {name}: not handed in: {failure}",
                    job.line
                ));
                self.failed += 1;
                self.count(failure.exit);
            }
        }
    }

    fn end(&mut self, ending: &Ending, numbers: &BTreeMap<Key, String>, console: &Console) {
        *self.ended.entry(ending.exit.code()).or_default() += 1;
        self.count(ending.exit);
        let tone = match ending.exit {
            Exit::Done => Tone::Good,
            Exit::Refused | Exit::Person | Exit::Account => Tone::Bad,
            Exit::Unknown | Exit::Timeout | Exit::Error | Exit::Interrupted => Tone::Warning,
        };
        let last = match ending.exit {
            Exit::Done => ending.id.clone().unwrap_or_default(),
            _ => match &ending.error_code {
                Some(code) => format!("<{code}>"),
                None => cut(&ending.message, 90),
            },
        };
        let number = numbers.get(&ending.key).cloned().unwrap_or_default();
        let cells = [
            number,
            cut(&ending.key.name, 24),
            ending.reason.clone(),
            last,
        ];
        let widths = [13, 24, 20, 0];
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let line = columns(&[padded]).concat();
        let painted = line.replacen(&ending.reason, &console.paint(tone, &ending.reason), 1);
        console.out(&painted);
    }

    fn summary(&self) -> String {
        let ended = |exit: Exit| self.ended.get(&exit.code()).copied().unwrap_or(0);
        let mut parts = vec![format!("{} handed in", self.handed_in)];
        for (count, word) in [
            (ended(Exit::Done), "verified"),
            (ended(Exit::Refused), "refused"),
            (ended(Exit::Person), "need a person"),
            (ended(Exit::Account), "held back by the account"),
            (ended(Exit::Unknown), "unknown"),
            (ended(Exit::Timeout), "without an outcome"),
            (self.failed, "not handed in"),
            (self.not_begun, "not begun (interrupted)"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        for (kind, count) in &self.skipped {
            parts.push(format!("{count} {}", kind.words()));
        }
        format!("{}: {}", counted(self.lines, "line"), parts.join(", "))
    }
}

async fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let failed = |error: std::io::Error| {
            Failure::input(format!("cannot read {}: {error}", path.display()))
        };
        let mut text = Zeroizing::new(String::new());
        let read = match path.as_os_str() == "-" {
            true => std::io::stdin().take(LARGEST + 1).read_to_string(&mut text),
            false => std::fs::File::open(&path)
                .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text)),
        };
        match read.map_err(failed)? {
            n if n as u64 > LARGEST => Err(Failure::input("the file is larger than 4 MiB")),
            _ => Ok(text),
        }
    });
    read.await
        .unwrap_or_else(|_| Err(Failure::input("the file cannot be read")))
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let open = path.as_os_str() != "-" && mode & 0o044 != 0;
    open.then(|| {
        format!(
            "warning: others on this machine can read {}: chmod 600 it, and delete it afterwards",
            path.display()
        )
    })
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<String> {
    None
}
