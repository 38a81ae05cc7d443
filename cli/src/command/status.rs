//! `status`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;

use super::{connect, scope};
use crate::args::{Connection, StatusArgs, TableFormat};
use crate::cluster::feed::{Feed, News};
use crate::cluster::{ApiError, Cluster, Key, Scope};
use crate::exit::{Exit, Failure};
use crate::overview::{Overview, Room, Styled};
use crate::terminal::{Console, Frame, Interrupt};
use crate::text::cut;

/// How often the picture is drawn again, since clocks and ages go on.
const REDRAW: Duration = Duration::from_secs(1);
/// How often a line is printed where there is no terminal, if anything changed.
const LINE: Duration = Duration::from_secs(5);

/// Shows how far a batch is.
pub async fn run(
    connection: &Connection,
    args: &StatusArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let (cluster, namespace) = connect(connection).await?;
    let scope = scope(&namespace, args.all_namespaces, args.selector.as_ref());
    if args.watch {
        return watch(&cluster, &scope, args, console).await;
    }
    let exit = match args.wait {
        true => wait(&cluster, &scope, args, console).await?,
        false => Exit::Done,
    };
    let listed = cluster.list(&scope).await;
    let listed = listed.map_err(|error| error.while_("listing PhoneMigrations"))?;
    let overview = Overview::of(&listed.objects, listed.unreadable, Timestamp::now());
    match args.output {
        Some(TableFormat::Csv) => {
            let lines = overview.csv(args.show_numbers);
            lines.iter().for_each(|line| console.out(line));
        }
        Some(TableFormat::Json) => {
            let text = serde_json::to_string_pretty(&overview.json(args.show_numbers));
            console.out(&text.unwrap_or_default());
        }
        None if listed.objects.is_empty() => console.out(&nothing(&scope)),
        None => {
            let columns = match console.is_terminal {
                true => console.size().0,
                false => usize::MAX,
            };
            let room = Room {
                columns: columns.min(1000),
                rows: None,
            };
            for line in painted(overview.lines(room, args.show_numbers), console, None) {
                console.out(&line);
            }
        }
    }
    Ok(exit)
}

fn nothing(scope: &Scope) -> String {
    match &scope.namespace {
        Some(namespace) => format!("No PhoneMigrations in namespace {namespace} (-A: in all)"),
        None => "No PhoneMigrations".to_owned(),
    }
}

fn painted(lines: Vec<Styled>, console: &Console, width: Option<usize>) -> Vec<String> {
    let fit = |text: String| match width {
        Some(width) => cut(&text, width),
        None => text,
    };
    lines
        .into_iter()
        .map(|(tone, text)| match tone {
            Some(tone) => console.paint(tone, &fit(text)),
            None => fit(text),
        })
        .collect()
}

/// The resources that a watch reported.
struct Known {
    feed: Feed,
    objects: BTreeMap<Key, PhoneMigration>,
    complete: bool,
    trouble: Option<ApiError>,
}

impl Known {
    fn new(cluster: &Cluster, scope: &Scope) -> Self {
        Self {
            feed: Feed::of(cluster, scope),
            objects: BTreeMap::new(),
            complete: false,
            trouble: None,
        }
    }

    /// Reads the watch's news until then.
    async fn until(&mut self, deadline: Instant) -> Result<(), Failure> {
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok(news) = tokio::time::timeout(left(), self.feed.next()).await {
            match news {
                News::Changed(object) => {
                    self.trouble = None;
                    self.objects.insert(Key::of(&object), *object);
                }
                News::Gone(key) => {
                    self.objects.remove(&key);
                }
                News::Complete => {
                    self.trouble = None;
                    let first = !self.complete;
                    self.complete = true;
                    if first {
                        return Ok(());
                    }
                }
                News::Trouble(error @ (ApiError::Forbidden(_) | ApiError::Unauthorized)) => {
                    return Err(error.while_("watching PhoneMigrations"));
                }
                News::Trouble(error) => self.trouble = Some(error),
            }
        }
        Ok(())
    }

    fn all(&self) -> Vec<PhoneMigration> {
        self.objects.values().cloned().collect()
    }
}

/// `-w`: in place on a terminal, plain lines elsewhere; until Ctrl-C.
async fn watch(
    cluster: &Cluster,
    scope: &Scope,
    args: &StatusArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen();
    let mut known = Known::new(cluster, scope);
    let mut frame = Frame::default();
    let mut last = String::new();
    let pause = match console.is_terminal {
        true => REDRAW,
        false => LINE,
    };
    loop {
        let step = known.until(Instant::now() + pause);
        tokio::select! {
            stepped = step => stepped?,
            () = interrupt.wait() => return Ok(Exit::Interrupted),
        }
        if !known.complete {
            if let Some(error) = known.trouble.take() {
                return Err(error.while_("watching PhoneMigrations"));
            }
            continue;
        }
        let objects = known.all();
        let overview = Overview::of(&objects, 0, Timestamp::now());
        if console.is_terminal {
            let (columns, rows) = console.size();
            let room = Room {
                columns,
                rows: Some(rows.saturating_sub(2)),
            };
            let mut lines = overview.lines(room, args.show_numbers);
            if let Some(error) = &known.trouble {
                lines.insert(
                    1,
                    (
                        Some(crate::terminal::Tone::Bad),
                        format!("{error}; trying again"),
                    ),
                );
            }
            lines.truncate(rows.saturating_sub(1));
            frame.draw(&painted(lines, console, Some(columns)));
        } else {
            let line = overview.line();
            // Without the time in front.
            let words = line.split_once("  ").map(|(_, words)| words.to_owned());
            if words.as_ref() != Some(&last) {
                console.out(&line);
                last = words.unwrap_or_default();
            }
        }
    }
}

/// `--wait`: until the operator has nothing in progress.
async fn wait(
    cluster: &Cluster,
    scope: &Scope,
    args: &StatusArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen();
    let mut known = Known::new(cluster, scope);
    let deadline = Instant::now() + args.timeout;
    loop {
        let step = known.until(Instant::now() + Duration::from_millis(500));
        tokio::select! {
            stepped = step => stepped?,
            () = interrupt.wait() => return Ok(Exit::Interrupted),
        }
        let objects = known.all();
        let exit = Overview::of(&objects, 0, Timestamp::now()).exit();
        if let Some(exit) = exit.filter(|_| known.complete) {
            return Ok(exit);
        }
        if Instant::now() >= deadline {
            let why = known
                .trouble
                .map_or_else(String::new, |error| format!(" ({error})"));
            console.note(&format!(
                "The time is up, and the operator is not done{why}"
            ));
            return Ok(Exit::Timeout);
        }
    }
}
